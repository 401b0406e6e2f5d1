# What several cases do with their guests. Each returns 0, or calls `because REASON` and returns 1. Sourced, never run.

# settings [NAME=VALUE]...: what a command in a guest begins with, to dial in another way (guest/client.sh).
settings() { [ $# = 0 ] || { printf '%q ' "$@" && echo ';'; }; }
# connect GUEST USER PASSWORD [NAME=VALUE]...: GUEST is up and dials in; INNER[GUEST] is its address.
declare -A INNER
connect() {
    guests "$1" || return 1
    in_guest "$1" 60 "$(settings "${@:4}") $(printf 'dial %q %q %q' "$PSK" "$2" "$3")" ||
        because "$1 cannot dial in: $ANSWER" || return 1
    INNER[$1]=$ANSWER
    [[ $ANSWER == "$INNER_NETWORK".* ]] || because "$1 got the address $ANSWER, not one of the pool"
}
hang_up() { # GUEST
    in_guest "$1" 15 hang_up || because "$1 cannot hang up: $ANSWER"
}
connected() {
    local now=''
    if guest_alive "$1"; then
        in_guest "$1" 5 ppp_address && now=$ANSWER
    fi
    [ -n "$now" ] && [ "$now" = "${INNER[$1]:-}" ] || connect "$@"
}
no_sessions() { # SECONDS
    within "$1" sessions_number 0 || because "sessions are left after $1 s: $(sessions 2>&1)$(cat "$WORK/sessions.error")"
}

# moved GUEST: judges what `transfer` in GUEST printed (in ANSWER); adds the rates to DETAILS.
moved() {
    local direction sum rate
    while read -r direction sum rate; do
        case $direction in up | down) ;; *) continue ;; esac
        [ "$sum" = "$BLOB_SHA256" ] || because "$1: the bytes that went $direction are not those that were sent" || return 1
        DETAILS+=", $direction $((rate * 8 / 1000000)) Mbit/s"
    done <<<"$ANSWER"
    [ "$(grep -cE '^(up|down) ' <<<"$ANSWER")" = "$2" ] || because "$1: transfers failed: $ANSWER"
}
# works GUEST: pings of all sizes and the blob each way.
works() {
    in_guest "$1" 60 pings || because "$1: pings are lost: $(grep -E 'loss|rror' <<<"$ANSWER" | tail -n1)" || return 1
    in_guest "$1" 120 'transfer up && transfer down' || because "$1: transfer failed: $ANSWER" || return 1
    moved "$1" 2
}
# work_together GUEST GUEST: both ping and transfer at the same moment.
work_together() {
    local name
    for name in "$@"; do
        guest_begin "$name" 'ping -q -c15 -i0.4 -W3 "$INSIDE" >/tmp/pings & transfer up && transfer down && wait $! &&
            grep -E "[0-9]% packet loss" /tmp/pings'
    done
    for name in "$@"; do
        guest_end "$name" 150 || because "$name, while the other works: $ANSWER" || return 1
        DETAILS+="; $name ${INNER[$name]}"
        moved "$name" 2 || return 1
        [[ $ANSWER =~ ' '(0|6\.66667)'% packet loss' ]] || because "$name, while the other works: $ANSWER" || return 1
    done
}
# field NUMBER USER: a column of the user's session.
field() { sessions | awk -v user="$2" -v column="$1" '$2 == user { print $column }'; }
