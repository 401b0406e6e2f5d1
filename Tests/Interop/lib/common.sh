# Settings and small helpers of the real-client tests. Sourced, never run.

# What the world of one test run looks like; lib/network.sh builds it.
GATEWAY_OUTER=192.0.2.1       # where clients dial
GATEWAY_INSIDE=10.99.0.1      # the gateway's leg in the network behind it
SERVER_INSIDE=10.99.0.2       # the host that clients want to reach
ROUTER_A=192.0.2.200          # home router A, masquerading 192.168.77.0/24
ROUTER_A_SECOND=192.0.2.202   # what its provider gives it next
ROUTER_B=192.0.2.201          # home router B, with the same private network as A
FRONT_OUTER=192.0.2.100       # a port map in front of the gateway
# The same in IPv6, and a second network behind the gateway; what lies behind a guest is in guest/tunnel.sh.
GATEWAY_OUTER_6=2001:db8:2::1
GUEST_OUTER_6=2001:db8:2::11
GATEWAY_INSIDE_6=fd00:99::1
SERVER_INSIDE_6=fd00:99::2
SERVER_INSIDE_SECOND=10.95.0.2
INNER_NETWORK=10.97.0         # the first three octets of every address that the gateway gives out

# Who may dial in. The inside server's blob is what is transferred.
PSK='Interop test: blanks, # and &'
GROUP=sales GROUP_PSK=one-for-the-sales-people
ALICE=alice ALICE_PASSWORD=wonderland
BOB=bob BOB_PASSWORD=builder
BLOB_MEGABYTES=20

# Where scripts/install-packages unpacks libreswan, and where lib/pki.sh puts certificates, if a run wants some.
LIBRESWAN=${CULVERT_TESTS_CACHE:-/var/cache/culvert-tests}/libreswan
PKI=/nonexistent

# Names of namespaces carry the process id, so that two runs do not meet.
PREFIX=culvert-$$

complain() { echo "interop: $*" >&2; }
die() { complain "$*"; exit 2; }

# Milliseconds since the epoch.
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# 12345 -> 12.3
in_seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }

# The reason why the current case fails; always returns 1, so that `check || because ...` reads well.
WHY=''
because() { WHY="$*"; return 1; }

# within SECONDS COMMAND...: waits until COMMAND succeeds.
within() {
    local until=$(($(milliseconds) + $1 * 1000))
    shift
    until "$@"; do
        [ "$(milliseconds)" -lt "$until" ] || return 1
        sleep 0.1
    done
}

# Ends one process that this run started: TERM, and KILL after 4 s. Never fails.
end_process() {
    local pid=${1:-} i
    [ -n "$pid" ] || return 0
    if kill -TERM "$pid" 2>/dev/null; then
        for ((i = 0; i < 40; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
    fi
    wait "$pid" 2>/dev/null
    return 0
}

# The last lines of a log, indented below a failure.
show_tail() { # FILE LINES
    [ -s "$1" ] || return 0
    echo "    --- ${1#"$WORK"/}"
    tail -n "$2" "$1" | sed 's/^/    /'
}

# begin_run BINARY: checks the host, makes the folder and the network; all of it goes away when the shell ends. With
# KEEP=yes the folder with the logs stays.
begin_run() {
    require_host
    CULVERT=$(realpath -e "$1" 2>/dev/null) && [ -x "$CULVERT" ] || die "no gateway at $1: swift build -c release"
    make_work
    trap finish_run EXIT
    trap 'complain "interrupted; logs are kept in $WORK"; KEEP=yes; exit 130' INT TERM HUP
    guest_memory
    guest_preload
    set -e
    network_up
    set +e
}
finish_run() {
    trap - EXIT INT TERM HUP
    guests_kill
    gateway_end
    network_down
    if [ "$KEEP" = yes ]; then
        rm -f "$WORK/blob" "$WORK"/guests/*/blob
    else
        rm -rf "$WORK"
    fi
}

# Everything that a run needs from its host.
require_host() {
    [ "$(id -u)" = 0 ] || die "must be root: network namespaces and TUN devices are needed"
    local tool
    for tool in ip nft conntrack openssl curl sysctl unshare linux.uml modprobe swanctl charon-systemd xl2tpd pppd /usr/bin/python3; do
        command -v "$tool" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null ||
            die "no $tool: run scripts/install-packages test"
    done
    [ -x "$LIBRESWAN/usr/libexec/ipsec/pluto" ] || die "no libreswan in $LIBRESWAN: run scripts/install-packages test"
    local release
    release=$(basename "$(echo /usr/lib/uml/modules/*)")
    [ -e "/lib/modules/$release/modules.dep" ] ||
        die "modules of the guests' kernel $release are not linked: run scripts/install-packages test"
    [ -c /dev/net/tun ] || modprobe tun 2>/dev/null
    [ -c /dev/net/tun ] || die "no /dev/net/tun"
    export PATH=$PATH:/usr/sbin:/sbin
}

# make_work: a folder for logs and everything else. Blanks in a path would break the guests' kernel command line.
make_work() {
    WORK=$(mktemp -d "/tmp/culvert-interop.XXXXXX")
    chmod 755 "$WORK"
    mkdir "$WORK/guests"
}
