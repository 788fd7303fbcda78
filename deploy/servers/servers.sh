#!/usr/bin/env bash
# One real Kafka and one real Redis on loopback, for development and for tests. Linux; needs Java 17 or newer, and Maven
# for the first start (44 MB, cached).
#
#   servers.sh start [--fresh]   start what is not running, wait until both answer; --fresh wipes their data first
#   servers.sh stop              stop both by the ids in their pid files, never anything else
#   servers.sh status            exit 0 if both answer, 3 if not
#   servers.sh run CMD...        start a fresh pair of its own on free ports, run CMD against it, stop it
#
# start and status print `export NAME=address` lines on stdout and everything else on stderr:
#   eval "$(deploy/servers/servers.sh start)"
#
# STREAMGAUGE_KAFKA_PORT   default 29092; the controller takes the next one
# STREAMGAUGE_REDIS_PORT   default 26379
# STREAMGAUGE_KAFKA_HEAP   default 768m; the broker's largest heap
# STREAMGAUGE_SERVERS_DIR  default .cache/servers; data, pid files, kafka.log, redis.log
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
lib=$cache/kafka/lib
dir=${STREAMGAUGE_SERVERS_DIR:-$cache/servers}
kafka_port=${STREAMGAUGE_KAFKA_PORT:-29092}
redis_port=${STREAMGAUGE_REDIS_PORT:-26379}
kafka_heap=${STREAMGAUGE_KAFKA_HEAP:-768m}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

java_oldest=17     # what Kafka 4.x brokers ask for
start_seconds=90   # 3 s on an idle machine; two cores busy with a build take 10 times as long
stop_seconds=30    # a broker hands its logs over in 1-3 s; after this it is killed
first_run_port=29192

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
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

answers_kafka() { # PORT: a real request, ApiVersions v0 with correlation id 7, and its answer
  timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "\0\0\0\12\0\22\0\0\0\0\0\7\377\377" >&3 &&
    [[ $(head -c 8 <&3 | tail -c 4 | od -An -tx1 | tr -d " \n") == 00000007 ]]' _ "$1" 2>/dev/null
}

answers_redis() { # PORT: +PONG; a Redis that still loads its file says -LOADING
  timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "PING\r\n" >&3 && read -r line <&3 && [[ $line == +PONG* ]]' _ "$1" 2>/dev/null
}

# ---- start

launch_kafka() {
  local port=$1 conf=$dir/kafka.properties
  mkdir -p "$dir/kafka"
  {
    cat "$here/kafka.properties"
    echo "node.id=1"
    echo "controller.quorum.voters=1@127.0.0.1:$((port + 1))"
    echo "listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))"
    echo "advertised.listeners=PLAINTEXT://127.0.0.1:$port"
    echo "log.dirs=$dir/kafka"
  } >"$conf"
  if [[ ! -e $dir/kafka/meta.properties ]]; then
    "$java" -cp "$lib/*" kafka.tools.StorageTool format --ignore-formatted --cluster-id M2U2NDA5NzY4YjA1NGZhZg \
      --feature transaction.version=2 --config "$conf" >"$dir/kafka.log" 2>&1 ||
      { tail -n 20 "$dir/kafka.log" >&2; die "Kafka's storage could not be formatted in $dir/kafka"; }
  fi
  launch kafka "$port" "$java" -Xms256m "-Xmx$kafka_heap" -XX:+ExitOnOutOfMemoryError \
    -Dorg.slf4j.simpleLogger.showDateTime=true "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX" \
    -Dorg.slf4j.simpleLogger.showThreadName=false -cp "$lib/*" kafka.Kafka "$conf"
}

launch_redis() {
  mkdir -p "$dir/redis"
  launch redis "$1" redis-server --port "$1" --bind 127.0.0.1 --dir "$dir/redis" --daemonize no \
    --maxmemory-policy noeviction --save "" --appendonly yes --appendfsync everysec
}

ensure() { # NAME PORT [SECOND PORT]: ours and running on PORT, or freshly launched
  local name=$1 port=$2 p variable=STREAMGAUGE_${1^^}_PORT
  if our_pid "$name" >/dev/null; then
    [[ $(our_port "$name") == "$port" ]] ||
      die "$name already runs on port $(our_port "$name"), not on $port as asked for by $variable: stop it first (make servers-stop)"
    return
  fi
  for p in "${@:2}"; do
    ! taken "$p" || die "port $p is taken by something that is not ours, so $name cannot start: set $variable to a free port"
  done
  "launch_$name" "$port"
}

await() { # NAME PORT DEADLINE, in seconds of $SECONDS
  until "answers_$1" "$2"; do
    our_pid "$1" >/dev/null || { tail -n 20 "$dir/$1.log" >&2; die "$1 ended while starting; the end of $dir/$1.log is above"; }
    ((SECONDS < $3)) || die "$1 did not answer on 127.0.0.1:$2 within $start_seconds s; see $dir/$1.log"
    sleep 0.1
  done
  say "$1 answers on 127.0.0.1:$2 (pid $(our_pid "$1"), log $dir/$1.log)"
}

exports() {
  echo "export STREAMGAUGE_TEST_KAFKA=127.0.0.1:$(our_port kafka)"
  echo "export STREAMGAUGE_TEST_REDIS=127.0.0.1:$(our_port redis)"
}

start() {
  local deadline
  need_redis
  mkdir -p "$cache/kafka" "$dir"
  dir=$(cd "$dir" && pwd -P) # as /proc shows it
  exec 8>"$cache/kafka/lock" 9>"$dir/lock"
  flock 8
  need_kafka
  exec 8>&-
  flock 9
  if [[ ${1:-} == --fresh ]]; then
    stop
    rm -rf "$dir/kafka" "$dir/redis" "$dir/kafka.log" "$dir/redis.log"
  fi
  deadline=$((SECONDS + start_seconds))
  ensure redis "$redis_port"
  ensure kafka "$kafka_port" $((kafka_port + 1))
  await redis "$redis_port" "$deadline"
  await kafka "$kafka_port" "$deadline"
  exec 9>&-
}

# ---- stop, status, run

stop_one() { # NAME
  local pid i
  if ! pid=$(our_pid "$1"); then
    rm -f "$dir/$1.pid"
    say "$1 is not running"
    return 0 # a bare return in a trap gives the status from before the trap
  fi
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < stop_seconds * 10; i++)); do
    our_pid "$1" >/dev/null || break
    sleep 0.1
  done
  if our_pid "$1" >/dev/null; then
    say "$1 (pid $pid) did not end within $stop_seconds s and is killed"
    kill -9 "$pid" 2>/dev/null || true
  fi
  rm -f "$dir/$1.pid"
  say "$1 stopped (pid $pid)"
}

stop() {
  [[ -d $dir ]] || { say "nothing runs from $dir"; return 0; }
  dir=$(cd "$dir" && pwd -P)
  stop_one kafka
  stop_one redis
}

status() {
  local name code=0
  [[ -d $dir ]] && dir=$(cd "$dir" && pwd -P)
  for name in kafka redis; do
    if our_pid "$name" >/dev/null && "answers_$name" "$(our_port "$name")"; then
      say "$name answers on 127.0.0.1:$(our_port "$name") (pid $(our_pid "$name"))"
    else
      say "$name does not run"
      code=3
    fi
  done
  [[ $code -ne 0 ]] || exports
  return $code
}

# Pairs whose shell is gone (killed in the middle) are stopped and removed first. Logs of a failed command are kept.
run() {
  local runs=$cache/servers-test old code=0
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
  kafka_port=$first_run_port
  while taken "$kafka_port" || taken $((kafka_port + 1)) || taken $((kafka_port + 2)); do kafka_port=$((kafka_port + 10)); done
  redis_port=$((kafka_port + 2))
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

case "${1:-}" in
  start)
    start "${2:-}"
    exports
    ;;
  stop) stop ;;
  status) status ;;
  run)
    shift
    run "$@"
    ;;
  *)
    sed -n '2,/^set -e/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
