# Booting guests and talking to them. Sourced, never run.
#
# A guest is one User-Mode-Linux process tree on the host, in a process-id namespace of its own: when the process whose
# id we keep dies, the kernel ends all of it and nothing else.

declare -A GUEST_PID GUEST_JOB GUEST_COMMANDS
GUESTS_AT_MOST=2
GUEST_BOOTS=0
GUEST_BOOT_SECONDS=40

guest_alive() { [ -n "${GUEST_PID[$1]:-}" ] && kill -0 "${GUEST_PID[$1]}" 2>/dev/null; }

guest_start() { # NAME: begins to boot
    local name=$1 place address router number ike esp job
    # Different algorithms at different places, so that a run sees more than one suite.
    ike=aes256-sha256-modp2048,aes256-sha1-modp2048 esp=aes256-sha1,aes128-sha1
    case $name in
        direct) place=wan address=192.0.2.11 router='' number=1 ;;
        nat1) place=router-a address=192.168.77.11 router=192.168.77.1 number=2 ;;
        nat2) place=router-a address=192.168.77.12 router=192.168.77.1 number=3
            ike=aes256-sha384-ecp384 esp=aes256gcm16 ;;
        far) place=router-b address=192.168.77.11 router=192.168.77.1 number=4
            ike=aes128-sha256-ecp256 esp=aes128gcm16 ;;
        *) die "no guest $name" ;;
    esac
    GUEST_BOOTS=$((GUEST_BOOTS + 1))
    job=$WORK/guests/$GUEST_BOOTS-$name
    mkdir "$job"
    cp "$here"/guest/* "$job/"
    ln "$WORK/blob" "$job/blob"
    [ ! -d "$PKI" ] || cp -r "$PKI" "$job/pki"
    printf '%s=%q\n' ADDRESS "$address" ROUTER "$router" GATEWAY "$GATEWAY_OUTER" INSIDE "$SERVER_INSIDE" \
        IKE_PROPOSALS "$ike" ESP_PROPOSALS "$esp" >"$job/settings"
    # The address of the network card stays the same over boots, or the neighbours would have to learn it anew.
    # TMPDIR is where the guest's memory lies, if /dev/shm is too small for it or forbids mapping it executable.
    ip netns exec "$PREFIX-$place" env ${GUEST_TMPDIR:+"TMPDIR=$GUEST_TMPDIR"} \
        unshare --pid --fork --kill-child=KILL --mount-proc bash -c '"$@"; exit' guest \
        env ${GUEST_PRELOAD:+"LD_PRELOAD=$GUEST_PRELOAD"} \
        linux.uml mem=192M umid=guest "uml_dir=$job/uml" rootfstype=hostfs rootflags=/ ro "init=$job/init" \
        "INTEROP_JOB=$job" "INTEROP_LIBRESWAN=$LIBRESWAN" \
        "vec0:transport=tap,ifname=$name,depth=128,gro=1,mac=02:00:5e:10:00:0$number" \
        con=null con0=fd:0,fd:1 quiet </dev/null >"$job/console" 2>&1 &
    GUEST_PID[$name]=$!
    GUEST_JOB[$name]=$job
    GUEST_COMMANDS[$name]=0
}
guest_ready() { [ -e "${GUEST_JOB[$1]}/ready" ] || ! guest_alive "$1"; }
guest_await() { # NAME
    within $GUEST_BOOT_SECONDS guest_ready "$1" && guest_alive "$1" ||
        because "guest $1 does not boot: $(tail -n1 "${GUEST_JOB[$1]}/console")"
}

guest_kill() { # NAME: from one instant to the next, without a word to anybody
    [ -n "${GUEST_PID[$1]:-}" ] || return 0
    kill -KILL "${GUEST_PID[$1]}" 2>/dev/null
    wait "${GUEST_PID[$1]}" 2>/dev/null
    rm -rf "${GUEST_JOB[$1]}/uml"
    unset "GUEST_PID[$1]"
}
guests_kill() {
    local name
    for name in "${!GUEST_PID[@]}"; do guest_kill "$name"; done
}

# guests NAME...: these are running afterwards, each boots if it must; others are ended only if there are too many.
guests() {
    local name other booting=()
    for name in "$@"; do
        guest_alive "$name" && continue
        guest_kill "$name"
        for other in "${!GUEST_PID[@]}"; do
            [ ${#GUEST_PID[@]} -ge $GUESTS_AT_MOST ] || break
            [[ " $* " == *" $other "* ]] || { in_guest "$other" 10 hang_up; guest_kill "$other"; }
        done
        guest_start "$name"
        booting+=("$name")
    done
    for name in "${booting[@]}"; do guest_await "$name" || return 1; done
}

# guest_begin NAME COMMANDS: has the guest run COMMANDS (bash, with the functions of guest/client.sh).
guest_begin() {
    [ "$BASHPID" = $$ ] || die "guest_begin in a subshell would count its command for nobody"
    local number=$((GUEST_COMMANDS[$1] + 1)) job=${GUEST_JOB[$1]}
    GUEST_COMMANDS[$1]=$number
    printf '%s\n' "$2" >"$job/command.$number"
    : >"$job/command.$number.go"
}
guest_answered() { [ -s "${GUEST_JOB[$1]}/command.${GUEST_COMMANDS[$1]}.status" ] || ! guest_alive "$1"; }
# guest_end NAME SECONDS: waits for what was begun; sets ANSWER to the output and returns the status.
guest_end() {
    local number=${GUEST_COMMANDS[$1]} job=${GUEST_JOB[$1]}
    ANSWER=''
    if ! within "$2" guest_answered "$1"; then
        ANSWER="no answer in $2 s"
        return 124
    fi
    guest_alive "$1" || { ANSWER="the guest died"; return 125; }
    ANSWER=$(<"$job/command.$number.out")
    return "$(<"$job/command.$number.status")"
}
in_guest() { # NAME SECONDS COMMANDS
    guest_begin "$1" "$3"
    guest_end "$1" "$2"
}

# What makes User-Mode Linux boot on a processor with AMX.
guest_preload() {
    grep -qw amx_tile /proc/cpuinfo || return 0
    GUEST_PRELOAD=$WORK/xstate.so
    cc -shared -fPIC -O2 -o "$GUEST_PRELOAD" "$here/lib/xstate.c" || die "lib/xstate.c cannot be built; guests would not boot"
}

# A guest's memory is a mapped file of its own: 192 MB for each.
guest_memory() {
    local free
    free=$(df --output=avail -m /dev/shm 2>/dev/null | tail -n1)
    if [ "${free:-0}" -lt 450 ] || findmnt -no OPTIONS /dev/shm | grep -qw noexec; then
        GUEST_TMPDIR=$WORK
    fi
}
