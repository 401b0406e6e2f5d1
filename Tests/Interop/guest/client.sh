# What a guest can do: a stock Linux client of strongSwan or libreswan, xl2tpd and pppd over the kernel's XFRM and
# pppol2tp. Sourced by init inside the guest; the current directory is the job directory. Settings: GATEWAY, ADDRESS,
# ROUTER, INSIDE.

# Sleeps without starting a process.
mkfifo /run/nap
exec 9<>/run/nap
nap() { read -rt "$1" -u 9; }

# until_true SECONDS COMMAND...: like `within` on the host, in naps.
until_true() {
    local left=$(($1 * 10))
    shift
    until "$@"; do
        [ $((left--)) -gt 0 ] || return 1
        nap 0.1
    done
    return 0 # and not the status of the last nap, which timed out
}

modules_load() {
    local modules="af_key xfrm_user xfrm_algo esp4 tunnel4 udp_tunnel ppp_generic tun authenc echainiv seqiv cbc ctr gcm
        ghash_generic hmac sha512_generic des_generic pppox l2tp_core l2tp_ppp"
    # All at once if possible, or one by one where a kernel has some of them built in.
    # shellcheck disable=SC2086
    modprobe -a $modules 2>/dev/null || for module in $modules; do modprobe "$module" 2>/dev/null; done
    [ -e /dev/ppp ] || mknod /dev/ppp c 108 0
}

# ---- IPsec ----------------------------------------------------------------------------------------------------------
# How to dial; a command of the host's may say otherwise in front of what it calls.
CLIENT=strongswan       # or libreswan
EXCHANGE=main           # or aggressive
AUTHENTICATION=psk      # or certificate:NAME, one of lib/pki.sh
IKE_PROPOSALS=${IKE_PROPOSALS:-aes256-sha256-modp2048}  # in strongSwan's words
# What protects packets, as the gateway calls it: aes256-sha1, aes128gcm16, ah-sha256; with a group: perfect forward
# secrecy; with -esn: sequence numbers of 64 bits; with +deflate: compression.
ESP_PROPOSALS=${ESP_PROPOSALS:-aes256-sha1}
MODE=transport          # or tunnel
NETWORKS=''             # "10.96.0.0/24=10.99.0.0/24 ...": ours and theirs, pairs, in tunnel mode; without: L2TP's port
LOCAL_ID=''             # what the client calls itself, if not by its address or its certificate's name
FRAGMENT_BYTES=''       # messages longer than that leave in fragments, whatever the gateway says
REKEY=''                # "8 5": a new phase 1 after 8 s, a new phase 2 after 5 s
DPD_SECONDS=''          # after so many idle seconds the client asks whether the gateway is there
INITIAL_CONTACT=''      # yes or no; each client has a default of its own

# The SAs that are wanted: L2TP's, or one for each pair of networks.
children() {
    local pair number=0
    [ -n "$NETWORKS" ] || { echo l2tp; return; }
    for pair in $NETWORKS; do echo "networks$((++number))"; done
}

# Each client has these of its own: NAME_running, NAME_configure PSK, NAME_up SECONDS, NAME_down, NAME_gone, NAME_end.
ipsec_configure() { # PSK
    local other=libreswan
    [ "$CLIENT" = strongswan ] || other=strongswan
    ! "${other}_running" || "${other}_end"
    "${CLIENT}_configure" "$1"
}
ipsec_running() { strongswan_running || libreswan_running; }
running_client() { if libreswan_running; then echo libreswan; else echo strongswan; fi; }
ipsec_up() { "$(running_client)_up" "${1:-15}"; }
ipsec_down() { ! ipsec_running || "$(running_client)_down"; }
ipsec_gone() { ! ipsec_running || "$(running_client)_gone"; }

# probe up|down: an L2TP tunnel without a session is opened or closed through the SAs, which takes a moment where pppd
# takes seconds. It prints why not.
probe() {
    local answer
    if [ ! -p /run/probe.in ]; then
        mkfifo /run/probe.in /run/probe.out
        python3 ./probe "$ADDRESS" <>/run/probe.in 1<>/run/probe.out 2>probe.log &
    fi
    echo "$1 $GATEWAY" >/run/probe.in
    read -rt 10 answer </run/probe.out && [ "$answer" = ok ] || { echo "L2TP: ${answer:-no answer of the probe}"; return 1; }
}

# ---- L2TP and PPP ---------------------------------------------------------------------------------------------------

# ppp_configure USER PASSWORD [PPPD OPTION]...
# lcp-restart, lcp-max-terminate: pppd repeats itself after 1 s and not after 3, and says goodbye once and not twice,
# which makes dialling in and hanging up faster. refuse-eap: it would try, where SoftEther offers that first.
ppp_configure() {
    {
        printf '%s\n' "name \"$1\"" "password \"$2\"" "${@:3}"
        cat <<'CONF'
noauth
refuse-eap
nodefaultroute
usepeerdns
ipcp-accept-local
ipcp-accept-remote
noccp
mtu 1400
mru 1400
lcp-echo-interval 10
lcp-echo-failure 4
lcp-restart 1
lcp-max-terminate 1
debug
logfile /run/job/pppd.log
CONF
    } >/etc/ppp/options.interop
    chmod 600 /etc/ppp/options.interop
    [ -p /run/xl2tpd/l2tp-control ] && return
    # The distribution's hooks are of no use here and cost a second.
    rm -f /etc/ppp/ip-pre-up /etc/ppp/ip-up /etc/ppp/ip-down /etc/ppp/ipv6-up /etc/ppp/ipv6-down
    mkdir -p /run/xl2tpd
    [ ! -p /run/probe.in ] || probe down >/dev/null # it has the port
    cat >/etc/xl2tpd/interop.conf <<CONF
[global]
port = 1701
access control = no
debug tunnel = yes
debug state = yes
[lac gateway]
lns = $GATEWAY
ppp debug = yes
pppoptfile = /etc/ppp/options.interop
length bit = yes
CONF
    xl2tpd -D -c /etc/xl2tpd/interop.conf -p /run/xl2tpd.pid -C /run/xl2tpd/l2tp-control >xl2tpd.log 2>&1 &
    until_true 5 test -p /run/xl2tpd/l2tp-control || { echo "xl2tpd does not start"; return 1; }
}
ppp_up() { # [SECONDS]
    local left=$((${1:-20} * 10)) log=''
    ppp_gone 5 || { echo "the last ppp0 is still there"; return 1; }
    [ ! -s pppd.log ] || { cat pppd.log >>pppd.earlier.log; : >pppd.log; }
    echo 'c gateway' >/run/xl2tpd/l2tp-control
    until [[ $log == *"remote IP address"* ]]; do
        if [[ $log == *"Connection terminated"* || $((left--)) -le 0 ]]; then
            echo "no ppp0: $(grep -iE 'authentication fail|terminated|LCP: timeout' pppd.log | head -n1)"
            return 1
        fi
        nap 0.1
        [ ! -e pppd.log ] || log=$(<pppd.log)
    done
    ip route replace 10.99.0.0/24 dev ppp0
}
ppp_down() {
    [ ! -p /run/xl2tpd/l2tp-control ] || echo 'd gateway' >/run/xl2tpd/l2tp-control
    ppp_gone 6
}
# ppp_end: the daemon goes, too, so that the port of L2TP is free.
ppp_end() {
    [ ! -s /run/xl2tpd.pid ] || kill "$(</run/xl2tpd.pid)"
    rm -f /run/xl2tpd/l2tp-control
}
ppp_gone() { until_true "$1" test ! -e /sys/class/net/ppp0; }
# ppp_noticed SECONDS: waits until the client knows that it is cut off. Its ppp0 is down then and has no address any
# more; pppd keeps the device a little longer.
ppp_noticed() { until_true "$1" ppp_is_down; }
ppp_is_down() {
    local flags
    { read -r flags </sys/class/net/ppp0/flags; } 2>/dev/null || return 0
    [ $((flags & 1)) = 0 ]
}
ppp_address() { ip -4 -o addr show dev ppp0 2>/dev/null | sed -n 's/.*inet \([0-9.]*\).*/\1/p'; }

# ---- Both together --------------------------------------------------------------------------------------------------

# dial PSK USER PASSWORD: prints the address that the client got.
dial() {
    ipsec_configure "$1" && ipsec_up && ppp_configure "$2" "$3" && ppp_up && ppp_address
}
# vanish: all is killed and nobody is told, as by a lost battery; the next dial is from the same port.
vanish() {
    local pid
    for pid in $(pgrep -x 'charon-systemd|pluto|xl2tpd|pppd'); do kill -KILL "$pid"; done
    ip xfrm state flush
    ip xfrm policy flush
    rm -f /run/charon.vici /run/pluto/pluto.* /run/xl2tpd/l2tp-control /run/xl2tpd.pid
    ppp_gone 5
}
# hang_up: succeeds, too, when there is nothing to hang up.
hang_up() {
    ppp_down || { echo "ppp0 stays"; return 1; }
    ipsec_down || { echo "SAs stay"; return 1; }
}

# pings [OWN-ADDRESS]: small, as large as the link carries in one piece, and in fragments; nothing may be lost.
pings() {
    local from=${1:+-I $1} size=1372
    [ $# = 0 ] || size=1300
    # shellcheck disable=SC2086
    ping -q -c4 -i0.3 -W2 $from "$INSIDE" &&
        ping -q -c3 -i0.3 -W2 -M do -s $size $from "$INSIDE" &&
        ping -q -c3 -i0.3 -W2 -s 4000 $from "$INSIDE"
}

# transfer up|down [CURL OPTION]...: moves the blob, prints its checksum at the receiver and the bytes per second.
transfer() {
    local direction=$1 sum speed host=$INSIDE
    shift
    [[ $INSIDE != *:* ]] || host="[$INSIDE]"
    if [ "$direction" = up ]; then
        speed=$(curl -gsS -m 120 "$@" -o /tmp/answer -w '%{speed_upload}' -T blob "http://$host/up") || return 1
        sum=$(</tmp/answer)
    else
        speed=$(curl -gsS -m 120 "$@" -o /tmp/blob -w '%{speed_download}' "http://$host/blob") || return 1
        sum=$(sha256sum /tmp/blob)
        rm /tmp/blob
    fi
    echo "$direction ${sum%% *} ${speed%.*}"
}

# dial_repeatedly TIMES: what `soak` does; each time everything is set up, used once and taken down again.
dial_repeatedly() {
    local time
    for ((time = 1; time <= $1; time++)); do
        ipsec_up && ppp_up && ping -q -c1 -W3 "$INSIDE" >/dev/null || { echo "dial-in $time of $1 failed"; return 1; }
        hang_up || { echo "hang-up $time of $1 failed"; return 1; }
    done
}
