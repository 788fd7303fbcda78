#!/usr/bin/env bash
# A real Kafka and a real Redis on loopback, for development and for tests. Linux; needs Java 17 or newer, and Maven for
# the first start (44 MB, cached).
#
#   servers.sh start [WHICH] [--fresh]     start what is not running, wait until all answer; --fresh wipes their data first
#   servers.sh stop                        stop them by the ids in their pid files, never anything else
#   servers.sh status [WHICH]              exit 0 if all answer, 3 if not
#   servers.sh run [WHICH] CMD...          start fresh ones of its own on free ports, run CMD against them, stop them
#   servers.sh node VERB NAME              of one server that was started: kill (-9), freeze (SIGSTOP), thaw (SIGCONT), stop,
#                                          start (again, on its port and data; does not wait), pid
#
# Servers are named kafka and redis. WHICH: --three makes a Kafka of three nodes, kafka-1 kafka-2 kafka-3; --cluster adds a Redis
# Cluster, redis-1 … redis-6; --no-kafka leaves Kafka out.
# start and status print `export NAME=address` lines on stdout and everything else on stderr:
#   eval "$(deploy/servers/servers.sh start)"
#
# STREAMGAUGE_KAFKA_PORT   default 29092; the controller takes the next one. With --three every node takes four: clients,
#                          controller, clients that come through a proxy, and the proxy's own, which nobody listens on here
#                          (what such clients are told is its address)
# STREAMGAUGE_REDIS_PORT   default 26379
# STREAMGAUGE_REDIS_CLUSTER_PORT   default 26380, the first of six; as many from ten above it are the bus
# STREAMGAUGE_KAFKA_HEAP   default 768m, of three nodes 512m each; a broker's largest heap
# STREAMGAUGE_SERVERS_DIR  default .cache/servers; data, pid files, a log of each server
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
lib=$cache/kafka/lib
dir=${STREAMGAUGE_SERVERS_DIR:-$cache/servers}
kafka_port=${STREAMGAUGE_KAFKA_PORT:-29092}
redis_port=${STREAMGAUGE_REDIS_PORT:-26379}
kafkas=(kafka)
nodes_of_three=(kafka-1 kafka-2 kafka-3)
ports_each=4       # of a node of three; of a single one the first two
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

java_oldest=17     # what Kafka 4.x brokers ask for
start_seconds=90   # 3 s on an idle machine, three nodes 7 s; two cores busy with a build take 10 times as long
stop_seconds=30    # a broker hands its logs over in 1-3 s; after this it is killed
first_run_port=29192

source "$here/redis-cluster.sh"
with_cluster=

say() { printf 'servers: %s\n' "$*" >&2 || true; } # a reader that went away stops nothing
die() { say "$@"; exit 1; }

# ---- what is needed

need_java() {
  local major
  command -v "$java" >/dev/null ||
    die "java is missing ($java): Kafka needs Java $java_oldest or newer. Debian: apt-get install openjdk-17-jre-headless; elsewhere set JAVA_HOME"
  major=$("$java" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1)
  [[ ${major:-0} -ge $java_oldest ]] ||
    die "java is version ${major:-unknown} ($java): Kafka needs $java_oldest or newer; set JAVA_HOME to one"
}

# The jars stand in $lib as a whole or not at all; the pom beside them says which ones they are.
need_kafka() {
  need_java
  cmp -s "$here/pom.xml" "$lib/pom.xml" && return
  command -v mvn >/dev/null ||
    die "mvn is missing: it fetches Kafka's jars once into $lib. Debian: apt-get install maven"
  say "fetching Kafka (44 MB) with Maven into $lib"
  rm -rf "$lib.new"
  mvn -B -ntp -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$lib.new" 2>&1 |
    sed 's/\x1b\[[0-9;]*m//g' >&2 || # Debian's mvn writes escapes to anything
    die "Maven could not fetch Kafka's jars (its message is above); offline it needs them in its local repository"
  cp "$here/pom.xml" "$lib.new/pom.xml"
  rm -rf "$lib"
  mv "$lib.new" "$lib"
}

# RUNLEVEL=1: the package would start a Redis of its own on 6379 where no service manager stops it from doing so.
need_redis() {
  command -v redis-server >/dev/null && return
  [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null ||
    die "redis-server is missing and only root can install it: sudo apt-get install redis-server (or put Redis 7 or newer, or Valkey under that name, into PATH)"
  say "installing redis-server with apt-get"
  { RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends redis-server ||
    { apt-get update -q &&
      RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends redis-server; }; } >&2 </dev/null ||
    die "apt-get could not install redis-server (its message is above)"
}

# ---- processes: a pid file holds "pid start-time port"; pid, start time and working directory together are ours or nobody's

start_time() { # PID: field 22 of its stat line, counted behind the name, which may hold spaces
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra stat <<<"${stat##*) }"
  echo "${stat[19]}"
}

our_pid() { # NAME: prints the pid of our running server, or fails
  local pid started port
  { read -r pid started port <"$dir/$1.pid"; } 2>/dev/null || return 1
  [[ $(start_time "$pid") == "$started" && $(readlink "/proc/$pid/cwd") == "$dir/$1" ]] || return 1
  echo "$pid"
}

our_port() { local pid started port; read -r pid started port <"$dir/$1.pid"; echo "$port"; }

launch() { # NAME PORT CMD...: in a session of its own, so that Ctrl-C on the terminal does not reach it
  local name=$1 port=$2 me
  shift 2
  (
    cd "$dir/$name"
    me=$BASHPID # not inside $(...), where it is another one
    echo "$me $(start_time "$me") $port" >"$dir/$name.pid"
    exec setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null 9>&-
  ) &
  disown
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

any_taken() { # FIRST COUNT
  local p
  for ((p = $1; p < $1 + $2; p++)); do ! taken "$p" || return 0; done
  return 1
}

answers_kafka() { # PORT: a real request, ApiVersions v0 with correlation id 7, and its answer
  timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "\0\0\0\12\0\22\0\0\0\0\0\7\377\377" >&3 &&
    [[ $(head -c 8 <&3 | tail -c 4 | od -An -tx1 | tr -d " \n") == 00000007 ]]' _ "$1" 2>/dev/null
}

# PORT COUNT: Metadata v0 of no topic in particular; its answer begins with size, correlation id and the number of brokers
knows_brokers() {
  timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "\0\0\0\16\0\3\0\0\0\0\0\7\377\377\0\0\0\0" >&3 &&
    [[ $(head -c 12 <&3 | tail -c 8 | od -An -tx1 | tr -d " \n") == 000000070000000"$2" ]]' _ "$1" "$2" 2>/dev/null
}

answers_redis() { # PORT: +PONG; a Redis that still loads its file says -LOADING
  timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "PING\r\n" >&3 && read -r line <&3 && [[ $line == +PONG* ]]' _ "$1" 2>/dev/null
}

# ---- start

launch_kafka() { # NAME PORT
  local name=$1 port=$2 conf=$dir/$1.properties
  mkdir -p "$dir/$name"
  if [[ $name == kafka ]]; then settings_of_one "$port"; else settings_of_three "${name#kafka-}" "$port"; fi >"$conf"
  echo "log.dirs=$dir/$name" >>"$conf"
  if [[ ! -e $dir/$name/meta.properties ]]; then
    "$java" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$lib/*" kafka.tools.StorageTool format --ignore-formatted \
      --cluster-id M2U2NDA5NzY4YjA1NGZhZg --feature transaction.version=2 --config "$conf" >"$dir/$name.log" 2>&1 ||
      { tail -n 20 "$dir/$name.log" >&2; die "Kafka's storage could not be formatted in $dir/$name"; }
  fi
  # Three on one machine share its cores with what is tested: the cheap compiler and collector halve what a start costs.
  local virtual=(-Xms256m "-Xmx${STREAMGAUGE_KAFKA_HEAP:-768m}")
  [[ $name == kafka ]] || virtual=(-Xms128m "-Xmx${STREAMGAUGE_KAFKA_HEAP:-512m}" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
  launch "$name" "$port" "$java" "${virtual[@]}" -XX:+ExitOnOutOfMemoryError \
    -Dorg.slf4j.simpleLogger.showDateTime=true "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX" \
    -Dorg.slf4j.simpleLogger.showThreadName=false -cp "$lib/*" kafka.Kafka "$conf"
}

settings_of_one() { # PORT
  cat "$here/kafka.properties" "$here/kafka-one.properties"
  echo "node.id=1"
  echo "controller.quorum.voters=1@127.0.0.1:$(($1 + 1))"
  echo "listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$(($1 + 1))"
  echo "advertised.listeners=PLAINTEXT://127.0.0.1:$1"
}

settings_of_three() { # NUMBER PORT
  local first=$(($2 - ($1 - 1) * ports_each)) voters="" n
  for n in 1 2 3; do voters+=,$n@127.0.0.1:$((first + (n - 1) * ports_each + 1)); done
  cat "$here/kafka.properties" "$here/kafka-three.properties"
  echo "node.id=$1"
  echo "controller.quorum.voters=${voters#,}"
  echo "listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$(($2 + 1)),PROXIED://127.0.0.1:$(($2 + 2))"
  echo "advertised.listeners=PLAINTEXT://127.0.0.1:$2,PROXIED://127.0.0.1:$(($2 + 3))"
}

launch_redis() { # NAME PORT
  [[ $1 == redis ]] || { launch_cluster_node "$@"; return; }
  mkdir -p "$dir/redis"
  launch redis "$2" redis-server --port "$2" --bind 127.0.0.1 --dir "$dir/redis" --daemonize no \
    --maxmemory-policy noeviction --save "" --appendonly yes --appendfsync everysec
}

kind() { echo "${1%-[0-9]}"; } # NAME: kafka-2 is a kafka

ensure() { # NAME PORT [MORE PORTS]: ours and running on PORT, or freshly launched
  local name=$1 port=$2 p variable
  variable=STREAMGAUGE_$(kind "${1^^}")_PORT
  [[ $name != redis-* ]] || variable=STREAMGAUGE_REDIS_CLUSTER_PORT
  if our_pid "$name" >/dev/null; then
    [[ $(our_port "$name") == "$port" ]] ||
      die "$name already runs on port $(our_port "$name"), not on $port as asked for by $variable: stop it first (make servers-stop)"
    return
  fi
  for p in "${@:2}"; do
    ! taken "$p" || die "port $p is taken by something that is not ours, so $name cannot start: set $variable to a free port"
  done
  "launch_$(kind "$name")" "$name" "$port"
}

await() { # NAME PORT DEADLINE, in seconds of $SECONDS
  until "answers_$(kind "$1")" "$2"; do
    our_pid "$1" >/dev/null || { tail -n 20 "$dir/$1.log" >&2; die "$1 ended while starting; the end of $dir/$1.log is above"; }
    ((SECONDS < $3)) || die "$1 did not answer on 127.0.0.1:$2 within $start_seconds s; see $dir/$1.log"
    sleep 0.1
  done
  say "$1 answers on 127.0.0.1:$2 (pid $(our_pid "$1"), log $dir/$1.log)"
}

exports() {
  local name list=""
  for name in "${kafkas[@]}"; do list+=,127.0.0.1:$(our_port "$name"); done
  case ${#kafkas[@]} in
    0) ;;
    1) echo "export STREAMGAUGE_TEST_KAFKA=${list#,}" ;;
    *) echo "export STREAMGAUGE_TEST_KAFKA_THREE=${list#,}" ;;
  esac
  [[ ${#kafkas[@]} -le 1 && -z $with_cluster ]] || echo "export STREAMGAUGE_SERVERS_DIR=$dir" # for `node`
  [[ -z $with_cluster ]] || export_cluster
  echo "export STREAMGAUGE_TEST_REDIS=127.0.0.1:$(our_port redis)"
}

start() {
  local deadline name port
  need_redis
  mkdir -p "$cache/kafka" "$dir"
  dir=$(cd "$dir" && pwd -P) # as /proc shows it
  exec 8>"$cache/kafka/lock" 9>"$dir/lock"
  flock 8
  [[ ${#kafkas[@]} -eq 0 ]] || need_kafka
  exec 8>&-
  flock 9
  if [[ ${1:-} == --fresh ]]; then
    stop
    rm -rf "$dir"/{kafka,redis}{,-[0-9]}{,.log,.properties}
  fi
  deadline=$((SECONDS + start_seconds))
  ensure redis "$redis_port"
  port=$kafka_port
  for name in "${kafkas[@]}"; do
    if ((${#kafkas[@]} > 1)); then ensure "$name" $((port)) $((port + 1)) $((port + 2)); else ensure "$name" "$port" $((port + 1)); fi
    port=$((port + ports_each))
  done
  await redis "$redis_port" "$deadline"
  for name in "${kafkas[@]}"; do await "$name" "$(our_port "$name")" "$deadline"; done
  [[ -z $with_cluster ]] || start_cluster "$deadline"
  until ((${#kafkas[@]} == 0)) || knows_brokers "$kafka_port" "${#kafkas[@]}"; do
    ((SECONDS < deadline)) || die "the ${#kafkas[@]} brokers did not find each other within $start_seconds s; see $dir/kafka*.log"
    sleep 0.1
  done
  exec 9>&-
}

# ---- stop, status, run

ask_to_stop() { # NAME: prints its pid, or fails
  local pid
  pid=$(our_pid "$1") || return 1
  kill "$pid" 2>/dev/null || true
  kill -CONT "$pid" 2>/dev/null || true # a frozen one hears nothing else
  echo "$pid"
}

await_end() { # NAME PID
  local i
  for ((i = 0; i < stop_seconds * 10; i++)); do
    our_pid "$1" >/dev/null || break
    sleep 0.1
  done
  if our_pid "$1" >/dev/null; then
    say "$1 (pid $2) did not end within $stop_seconds s and is killed"
    kill -9 "$2" 2>/dev/null || true
  fi
  say "$1 stopped (pid $2)"
}

# All are asked before any is waited for: a Kafka node hands its logs over to the others, and the last of three would wait in vain.
stop_all() { # NAME...
  local name pid
  local -A pids=()
  for name in "$@"; do
    if pid=$(ask_to_stop "$name"); then pids[$name]=$pid; else say "$name is not running"; fi
  done
  for name in "$@"; do
    [[ -z ${pids[$name]:-} ]] || await_end "$name" "${pids[$name]}"
    rm -f "$dir/$name.pid"
  done
}

stop() {
  [[ -d $dir ]] || { say "nothing runs from $dir"; return 0; }
  dir=$(cd "$dir" && pwd -P)
  local name names=(kafka redis)
  for name in "${nodes_of_three[@]}" "${cluster_nodes[@]}"; do [[ ! -e $dir/$name.pid ]] || names+=("$name"); done
  stop_all "${names[@]}"
}

status() {
  local name code=0
  [[ -d $dir ]] && dir=$(cd "$dir" && pwd -P)
  local names=("${kafkas[@]}" redis)
  [[ -z $with_cluster ]] || names+=("${cluster_nodes[@]}")
  for name in "${names[@]}"; do
    if our_pid "$name" >/dev/null && "answers_$(kind "$name")" "$(our_port "$name")"; then
      say "$name answers on 127.0.0.1:$(our_port "$name") (pid $(our_pid "$name"))"
    else
      say "$name does not run"
      code=3
    fi
  done
  [[ $code -ne 0 ]] || exports
  return $code
}

# node VERB NAME: the pid file stays, with the port, so that what was killed can be started again.
node() {
  local verb=${1:-} name=${2:-} pid port
  [[ $name =~ ^(kafka|redis)(-[0-9])?$ ]] || die "node $verb $name: names are kafka, redis, kafka-1 … kafka-3, redis-1 … redis-6"
  [[ -e $dir/$name.pid ]] || die "$name was not started from $dir (STREAMGAUGE_SERVERS_DIR)"
  dir=$(cd "$dir" && pwd -P)
  port=$(our_port "$name")
  if [[ $verb == start ]]; then
    our_pid "$name" >/dev/null || "launch_$(kind "$name")" "$name" "$port"
    return
  fi
  pid=$(our_pid "$name") || die "$name does not run"
  case $verb in
    pid) echo "$pid" ;;
    freeze) kill -STOP "$pid" ;;
    thaw) kill -CONT "$pid" ;;
    stop) await_end "$name" "$(ask_to_stop "$name")" ;;
    kill)
      kill -9 "$pid"
      while our_pid "$name" >/dev/null; do sleep 0.02; done
      ;;
    *) die "node $verb: verbs are kill, freeze, thaw, stop, start, pid" ;;
  esac
}

# Servers whose shell is gone (killed in the middle) are stopped and removed first. Logs of a failed command are kept.
run() {
  local runs=$cache/servers-test old code=0 all
  [[ $# -gt 0 ]] || die "run needs a command"
  mkdir -p "$runs"
  exec 7>"$runs/lock"
  flock 7 # until our ports are bound
  for old in "$runs"/[0-9]*/; do
    [[ -d $old && ! -d /proc/$(basename "$old") ]] || continue
    dir=$old
    stop
    rm -rf "$old"
  done
  all=$((${#kafkas[@]} * ports_each))
  kafka_port=$first_run_port
  while any_taken "$kafka_port" $((all + 1 + cluster_ports)); do kafka_port=$((kafka_port + 40)); done
  redis_port=$((kafka_port + all))
  cluster_port=$((redis_port + 1))
  dir=$runs/$$
  trap 'trap "" PIPE; stop; rm -rf "$dir"' EXIT
  start 7>&-
  exec 7>&-
  eval "$(exports)"
  "$@" || code=$?
  if [[ $code -ne 0 ]]; then
    mkdir -p "$runs/failed"
    cp "$dir"/*.log "$runs/failed/"
    say "the command ended with $code; the servers' logs are kept in $runs/failed"
  fi
  exit "$code"
}

verb=${1:-}
shift || true
while :; do
  case "${1:-}" in
    --three) kafkas=("${nodes_of_three[@]}") ;;
    --cluster) with_cluster=yes ;;
    --no-kafka) kafkas=() ;;
    *) break ;;
  esac
  shift
done
case "$verb" in
  start)
    start "${1:-}"
    exports
    ;;
  stop) stop ;;
  status) status ;;
  run) run "$@" ;;
  node) node "$@" ;;
  *)
    sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
