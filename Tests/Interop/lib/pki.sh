# Certificates for one run, made by openssl. Sourced, never run.
#
#   ca ---- intermediate ---- gateway-rsa, chained
#     \---- gateway-p256, -p384, -p521; rsa2048, rsa4096, p256, p384, p521
#      \--- revoked (in crl.pem), expired, stranger (a name that the gateway does not let in)
#   foreign-ca ---- foreign
#
# Each has NAME.pem and NAME.key; what is sent as a chain has the intermediate's certificate behind its own. `nss` is a
# database of libreswan's with those that it can use.

PKI_CLIENTS=(rsa2048 rsa4096 p256 p384 p521 chained)
PKI_REFUSED=(revoked expired foreign stranger)
PKI_DOMAIN=clients.interop.test

pki_make() {
    PKI=$WORK/pki
    mkdir "$PKI" "$PKI/nss"
    (umask 077 && cd "$PKI" && set -e && pki_issue_all && pki_nss) >"$WORK/pki.log" 2>&1 ||
        die "certificates cannot be made: $(tail -n2 "$WORK/pki.log")"
}

pki_key() { # NAME KIND
    case $2 in
        rsa*) openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${2#rsa}" -out "$1.key" ;;
        p*) openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:P-${2#p}" -out "$1.key" ;;
    esac
}
# pki_issue ISSUER NAME KIND [OPENSSL-CA OPTION]...: NAME's key and certificate; the name is EXTENSION's, too.
pki_issue() {
    local name=$2 extensions=client host=$2.$PKI_DOMAIN
    case $name in
        intermediate) extensions=authority ;;
        gateway-*) extensions=gateway ;;
        stranger) host=stranger.elsewhere.test ;;
    esac
    pki_key "$name" "$3"
    openssl req -new -key "$name.key" -subj "/O=Interop/CN=$host" -out "$name.csr"
    SUBJECT_NAME=$host openssl ca -batch -config openssl.cnf -name "$1" -extensions "$extensions" -days 30 "${@:4}" \
        -notext -in "$name.csr" -out "$name.pem"
    rm "$name.csr"
}
pki_authority() { # NAME: one that signs itself
    pki_key "$1" rsa2048
    openssl req -x509 -key "$1.key" -days 30 -subj "/O=Interop/CN=$1" -config openssl.cnf -extensions authority \
        -out "$1.pem"
}

pki_issue_all() {
    local name
    {
        for name in ca intermediate foreign-ca; do
            cat <<CONF
[$name]
new_certs_dir = .
certificate = $name.pem
private_key = $name.key
database = $name.index
rand_serial = yes
default_md = sha256
default_crl_days = 30
policy = policy
unique_subject = no
CONF
            : >"$name.index"
        done
        cat <<CONF
[policy]
organizationName = supplied
commonName = supplied
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[gateway]
subjectAltName = IP:$GATEWAY_OUTER,DNS:\${ENV::SUBJECT_NAME}
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,1.3.6.1.5.5.8.2.2
[client]
subjectAltName = DNS:\${ENV::SUBJECT_NAME}
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
CONF
    } >openssl.cnf
    export SUBJECT_NAME=''
    pki_authority ca
    pki_authority foreign-ca
    pki_issue ca intermediate rsa2048
    pki_issue intermediate gateway-rsa rsa2048
    pki_issue intermediate chained rsa2048
    for name in gateway-rsa chained; do cat intermediate.pem >>"$name.pem"; done
    for name in p256 p384 p521; do pki_issue ca "gateway-$name" "$name"; done
    for name in rsa2048 rsa4096 p256 p384 p521; do pki_issue ca "$name" "$name"; done
    for name in revoked stranger; do pki_issue ca "$name" rsa2048; done
    pki_issue foreign-ca foreign rsa2048
    pki_issue ca expired rsa2048 -startdate 20200101000000Z -enddate 20200201000000Z
    openssl ca -config openssl.cnf -name ca -revoke revoked.pem
    openssl ca -config openssl.cnf -name ca -gencrl -out crl.pem
}

# libreswan has RSA alone in IKEv1.
pki_nss() {
    local name tools=$LIBRESWAN/usr/bin
    LD_LIBRARY_PATH=$(echo "$LIBRESWAN"/usr/lib/*-linux-gnu)
    export LD_LIBRARY_PATH
    "$tools/certutil" -N -d sql:nss --empty-password
    "$tools/certutil" -A -n ca -t CT,, -d sql:nss -i ca.pem
    for name in rsa2048 rsa4096 chained; do
        env -u LD_LIBRARY_PATH openssl pkcs12 -export -in "$name.pem" -inkey "$name.key" -name "$name" -passout pass: \
            -out "$name.p12"
        "$tools/pk12util" -i "$name.p12" -d sql:nss -W '' -K ''
    done
}

# What the gateway's configuration says of them.
pki_config() {
    cat <<YAML
authentication: [certificate, psk]
certificates:
  ca: [$PKI/ca.pem]
  certificate: [$PKI/gateway-rsa.pem, $PKI/gateway-p256.pem, $PKI/gateway-p384.pem, $PKI/gateway-p521.pem]
  key: [$PKI/gateway-rsa.key, $PKI/gateway-p256.key, $PKI/gateway-p384.key, $PKI/gateway-p521.key]
  crl: [$PKI/crl.pem]
  clientIdentities: ["*.$PKI_DOMAIN"]
YAML
}
