import Wire

/// What the first start shows: the credentials that it made, and how each kind of client uses them.
struct Welcome {
    /// The address that clients dial, where it is known.
    var server: IPv4Address?
    /// The key, if the gateway made it.
    var preSharedKey: String?
    /// The user, if the gateway made one.
    var user: (name: String, password: String)?
    /// Where they are kept.
    var path: String

    var text: String {
        let server = server?.description ?? "the address of this machine as clients see it"
        let key = preSharedKey ?? "the one you gave (VPN_IPSEC_PSK)"
        let name = user?.name ?? "the one you gave (VPN_USER)"
        let password = user?.password ?? "the one you gave (VPN_PASSWORD)"
        return """

            ================================================================================
            Culvert made the credentials that nobody gave it. They are shown only this once,
            and kept in \(path).

              Server          \(server)
              Pre-shared key  \(key)
              User            \(name)
              Password        \(password)

            \(Self.steps)
            ================================================================================

            """
    }

    /// The steps on each kind of client.
    static let steps = """
        Windows 10, 11   Settings > Network & internet > VPN > Add VPN. Provider: Windows
                         (built-in). VPN type: L2TP/IPsec with pre-shared key. Enter server,
                         key, user and password; Save; Connect.
        macOS            System Settings > Network > ... > Add VPN Configuration > L2TP over
                         IPSec. Enter server, user, password and shared secret. Options: Send
                         all traffic over VPN connection. Turn it on.
        iOS, iPadOS      Settings > General > VPN & Device Management > VPN > Add VPN
                         Configuration. Type: L2TP. Enter server, account (the user),
                         password and secret (the key). Turn it on.
        Android, to 11   Settings > Network & internet > VPN > +. Type: L2TP/IPSec PSK. Enter
                         server and IPSec pre-shared key; leave L2TP secret and IPSec
                         identifier empty; Save; tap it, enter user and password. Android 9
                         and older may need CULVERT_PROFILE=legacy. 12 and later have no L2TP.
        Linux            Install network-manager-l2tp-gnome. Settings > Network > VPN > + >
                         Layer 2 Tunneling Protocol. Gateway: the server. Enter user and
                         password. IPsec Settings: enable it, enter the pre-shared key. Turn
                         it on.
        """
}
