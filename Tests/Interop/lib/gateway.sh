# The gateway under test: starting, asking and ending it. Sourced, never run.

GATEWAY_START_SECONDS=15
SOCKET=''
GATEWAY_PID=''
GATEWAY_EXTRA='' # more of its configuration file
OFFLOADS='' # which the system is to do, if not all

gateway_config() {
    cat <<YAML
psk: "$PSK"
users:
  - {name: $ALICE, password: $ALICE_PASSWORD}
  - {name: $BOB, password: $BOB_PASSWORD}
l2tp: {network: $INNER_NETWORK.0/24, local: $INNER_NETWORK.1, pool: $INNER_NETWORK.10-$INNER_NETWORK.250}
dns: [$SERVER_INSIDE]
YAML
    printf '%s\n' "$OFFLOADS" "$GATEWAY_EXTRA"
}

# What a gateway may change in its namespace, and must put back: links, routes, firewall. Compared before and after. What
# ip says of the names of another run's namespaces, which begins or ends meanwhile, is none of ours.
gateway_footprint() {
    { ip_in gateway -o link show 2>&1 >&3 | grep -v '^Error: Peer netns reference is invalid' >&2; } 3>&1 | sed 's/^[0-9]*: \([^:]*\):.*/link \1/' | sort
    ip_in gateway -4 route show table all | sed 's/^/route /; s/ linkdown//' | sort
    # Addresses of links come and go by themselves.
    ip_in gateway -6 route show table all | grep -vE 'fe80|ff00' | sed 's/^/route /; s/ linkdown//' | sort
    ip_in gateway -4 rule show
    ip_in gateway -6 rule show
    in_ns gateway nft list ruleset
}

# gateway_start [ASSIGNMENT]...: by its config file, or, if there are assignments, by these in the environment alone.
gateway_start() {
    local state=$WORK/state arguments=(--config "$WORK/culvert.yaml")
    SOCKET=$WORK/culvert.sock
    if [ $# -gt 0 ]; then
        state=$WORK/state-environment
        arguments=()
    fi
    mkdir -p -m 700 "$state"
    (umask 077 && gateway_config >"$WORK/culvert.yaml")
    gateway_footprint >"$WORK/footprint.before" 2>&1
    echo "=== start: $* ${arguments[*]}" >>"$WORK/gateway.log"
    ip netns exec "$PREFIX-gateway" env "$@" "$CULVERT" serve "${arguments[@]}" --state "$state" --socket "$SOCKET" \
        >>"$WORK/gateway.log" 2>&1 </dev/null &
    GATEWAY_PID=$!
    within $GATEWAY_START_SECONDS gateway_settled && gateway_alive && return
    because "the gateway does not start: $(tail -n1 "$WORK/gateway.log")"
}
gateway_settled() { culvert sessions --json >/dev/null 2>&1 || ! gateway_alive; }
gateway_alive() { [ -n "$GATEWAY_PID" ] && kill -0 "$GATEWAY_PID" 2>/dev/null; }
gateway_end() {
    end_process "$GATEWAY_PID"
    GATEWAY_PID=''
}

# culvert SUBCOMMAND...: an operator's command to the gateway under test.
culvert() { ip netns exec "$PREFIX-gateway" timeout 10 "$CULVERT" "$1" --socket "$SOCKET" "${@:2}"; }

# sessions: one line each: id user outerAddress outerPort innerAddress since bytesIn bytesOut packetsIn packetsOut.
# Fails if a field is missing or is not of its kind.
sessions() {
    local json
    json=$(culvert sessions --json 2>"$WORK/sessions.error") || return 1
    printf '%s' "$json" >"$WORK/sessions.json"
    /usr/bin/python3 - "$WORK/sessions.json" <<'PYTHON' 2>>"$WORK/sessions.error"
import datetime, ipaddress, json, sys
for s in json.load(open(sys.argv[1])):
    ipaddress.ip_address(s["outerAddress"]), ipaddress.ip_address(s["innerAddress"])
    since = datetime.datetime.fromisoformat(s["since"].replace("Z", "+00:00"))
    age = (datetime.datetime.now(datetime.timezone.utc) - since).total_seconds()
    assert -2 < age < 3600, "since is not now: " + s["since"]
    counters = [s[k] for k in ("bytesIn", "bytesOut", "packetsIn", "packetsOut")]
    assert all(type(n) is int and n >= 0 for n in counters) and 0 <= s["outerPort"] < 65536
    print(s["id"], s["user"], s["outerAddress"], s["outerPort"], s["innerAddress"], s["since"], *counters)
PYTHON
}
sessions_number() {
    local lines
    lines=$(sessions) || return 1
    [ "$(grep -c . <<<"$lines")" = "$1" ]
}

# log_mark, then log_has PATTERN: does a line written since then match, whatever its case?
log_mark() { LOG_MARK=$(($(stat -c %s "$WORK/gateway.log") + 1)); }
log_has() { tail -c "+$LOG_MARK" "$WORK/gateway.log" | grep -qiE -- "$1"; }

# User and system time of all that runs in the gateway's namespace, in microseconds, what the kernel does for it in its system
# calls included.
gateway_microseconds() {
    local fields pid ticks=0
    for pid in $(ip netns pids "$PREFIX-gateway"); do
        fields=$(<"/proc/$pid/stat")
        read -ra fields <<<"${fields##*) }"
        ticks=$((ticks + fields[11] + fields[12]))
    done
    echo $((ticks * (1000000 / $(getconf CLK_TCK))))
}
