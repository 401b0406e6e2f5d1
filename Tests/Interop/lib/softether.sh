# SoftEther VPN Server in the place of the gateway under test, to compare with. Sourced, never run.

SOFTETHER_PSK=benchmark # it takes nine characters, and no more
SOFTETHER_START_SECONDS=20

# softether_start ADDRESS: with the users and passwords of common.sh, and for clients addresses in the /16 of ADDRESS, its own. What
# it writes goes into the run's folder, by mounts that only it sees. Addresses come from its own DHCP server; packets go to the
# kernel by a bridge to a TAP interface.
softether_start() {
    local network=${1%.*}
    rm -rf "$WORK"/softether
    mkdir -p "$WORK"/softether/{db,run,log}
    softether_launch || return 1
    # Bound to all addresses it takes 0.0.0.0 for its own, and so for its name in IKE.
    within $SOFTETHER_START_SECONDS grep -qs 'string ListenIP' "$WORK/softether/db/vpn_server.config" ||
        because "SoftEther writes no configuration" || return 1
    softether_end
    sed -i "s/string ListenIP .*/string ListenIP $GATEWAY_OUTER/" "$WORK/softether/db/vpn_server.config"
    softether_launch || return 1
    printf '%s\n' "ServerPasswordSet $ALICE_PASSWORD" >"$WORK/commands"
    softether_command || return 1
    cat >"$WORK/commands" <<COMMANDS
HubCreate BENCH /PASSWORD:$ALICE_PASSWORD
IPsecEnable /L2TP:yes /L2TPRAW:no /ETHERIP:no /PSK:$SOFTETHER_PSK /DEFAULTHUB:BENCH
BridgeCreate BENCH /DEVICE:bench /TAP:yes
Hub BENCH
UserCreate $ALICE /GROUP:none /REALNAME:none /NOTE:none
UserPasswordSet $ALICE /PASSWORD:$ALICE_PASSWORD
DhcpSet /START:$network.10 /END:$network.250 /MASK:255.255.0.0 /EXPIRE:7200 /GW:$1 /DNS:$1 /DNS2:none /DOMAIN:none /LOG:no
SecureNatHostSet /MAC:none /IP:$network.2 /MASK:255.255.0.0
SecureNatEnable
NatDisable
COMMANDS
    softether_command "/PASSWORD:$ALICE_PASSWORD" || return 1
    within $SOFTETHER_START_SECONDS softether_bridged || because "SoftEther makes no TAP interface" || return 1
    ip_in gateway addr add "$1/16" dev tap_bench
    ip_in gateway link set tap_bench up
}
softether_launch() {
    # Where the package has its folders.
    mkdir -p /var/lib/softether /var/log/softether /run/softether
    ip netns exec "$PREFIX-gateway" unshare --mount --pid --fork --kill-child=KILL --mount-proc bash -c '
        cd "$1" && mount --bind db /var/lib/softether && mount --bind run /run/softether &&
        mount --bind log /var/log/softether && exec /usr/libexec/softether/vpnserver/vpnserver execsvc' - "$WORK/softether" \
        >>"$WORK/gateway.log" 2>&1 </dev/null &
    GATEWAY_PID=$!
    within $SOFTETHER_START_SECONDS softether_listens ||
        because "SoftEther does not start: $(tail -n1 "$WORK/gateway.log")"
}
# It does not mind being told to end; all of it dies with the process that we know.
softether_end() {
    kill -KILL "$GATEWAY_PID" 2>/dev/null
    wait "$GATEWAY_PID" 2>/dev/null
    GATEWAY_PID=''
}
softether_listens() { in_ns gateway ss -Hlnt 'sport = :5555' | grep -q .; }
softether_bridged() { ip_in gateway link show tap_bench >/dev/null 2>&1; }
softether_command() {
    in_ns gateway timeout 60 vpncmd "$GATEWAY_OUTER:5555" /SERVER "$@" "/IN:$WORK/commands" >"$WORK/commands.log" 2>&1 ||
        because "SoftEther: $(tail -n1 "$WORK/commands.log")"
}
