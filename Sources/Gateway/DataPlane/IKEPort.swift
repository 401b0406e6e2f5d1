/// IKE's UDP ports.
enum IKEPort {
    /// The worker that reads port 500. The peers whose ESP comes there live at it.
    static let worker = 0
    /// RFC 2408 section 2.5.1.
    static let plain: UInt16 = 500
    /// RFC 3947 section 4, RFC 3948: with the non-ESP marker.
    static let encapsulated: UInt16 = 4500
}
