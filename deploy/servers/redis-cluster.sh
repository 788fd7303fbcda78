# Part of servers.sh: a Redis Cluster of three masters and three replicas, servers redis-1 … redis-6, asked for by --cluster.
# Every node takes two ports, its own and, ten above, that of the cluster's bus.

cluster_nodes=(redis-1 redis-2 redis-3 redis-4 redis-5 redis-6)
cluster_port=${STREAMGAUGE_REDIS_CLUSTER_PORT:-26380}
bus_above=10
cluster_ports=$((bus_above + ${#cluster_nodes[@]}))

# node-timeout: a dead master is replaced within 3 s (production: 5 to 15 s). validity-factor 0: a replica takes over however far it
# lags, which is the case that the store's tests are about. The debug command is for them too; none of it is for production.
launch_cluster_node() { # NAME PORT
  mkdir -p "$dir/$1"
  launch "$1" "$2" redis-server --port "$2" --bind 127.0.0.1 --dir "$dir/$1" --daemonize no \
    --cluster-enabled yes --cluster-port $(($2 + bus_above)) --cluster-config-file nodes.conf --cluster-node-timeout 2000 \
    --cluster-replica-validity-factor 0 --cluster-allow-replica-migration no --repl-diskless-sync-delay 0 \
    --enable-debug-command local --maxmemory-policy noeviction --save "" --appendonly yes --appendfsync everysec
}

cluster_info() { # PORT FIELD
  timeout 2 redis-cli -h 127.0.0.1 -p "$1" cluster info 2>/dev/null | sed -n "s/^$2:\([^\r]*\).*/\1/p"
}

start_cluster() { # DEADLINE
  local i port addresses=()
  for i in "${!cluster_nodes[@]}"; do
    port=$((cluster_port + i))
    ensure "${cluster_nodes[i]}" "$port" $((port + bus_above))
    addresses+=("127.0.0.1:$port")
  done
  for i in "${!cluster_nodes[@]}"; do await "${cluster_nodes[i]}" $((cluster_port + i)) "$1"; done
  if [[ $(cluster_info "$cluster_port" cluster_known_nodes) == 1 ]]; then
    redis-cli --cluster create "${addresses[@]}" --cluster-replicas 1 --cluster-yes >>"$dir/redis-1.log" 2>&1 ||
      { tail -n 20 "$dir/redis-1.log" >&2; die "the Redis Cluster could not be made; the end of $dir/redis-1.log is above. start --cluster --fresh begins anew"; }
  fi
  for i in "${!cluster_nodes[@]}"; do
    until whole "$((cluster_port + i))"; do
      ((SECONDS < $1)) || die "the Redis Cluster is not whole within $start_seconds s ($(cluster_info "$cluster_port" cluster_state)); see $dir/redis-[1-6].log, or begin anew with start --cluster --fresh"
      sleep 0.1
    done
  done
  say "the Redis Cluster is whole: three masters, three replicas, on 127.0.0.1:$cluster_port-$((cluster_port + ${#cluster_nodes[@]} - 1))"
}

whole() { # PORT: the node sees all slots served, and follows its master if it is a replica
  [[ $(cluster_info "$1" cluster_state) == ok && $(cluster_info "$1" cluster_known_nodes) == "${#cluster_nodes[@]}" ]] &&
    ! timeout 2 redis-cli -h 127.0.0.1 -p "$1" info replication | grep -qE '^master_link_status:down|^role:master.*connected_slaves:0'
}

export_cluster() {
  local name list=""
  for name in "${cluster_nodes[@]}"; do list+=,127.0.0.1:$(our_port "$name"); done
  echo "export STREAMGAUGE_TEST_REDIS_CLUSTER=${list#,}"
}
