import ESP
import IO
import Wire

/// What a worker reads and writes: its sockets, its queue of the TUN interface, and the rings between it and the others.
struct WorkerPorts {
    let version4: OuterPorts
    /// Where the machine has IPv6.
    let version6: OuterPorts?
    /// What routers say of packets that were too large, of each IP version; one worker hears it for all.
    let pathMTUs: [PathMTUSocket]
    /// The inside.
    let tun: TUNQueue
    /// Packets that the other workers hand to this one, by the other's number.
    let fromOthers: [BoundedRing?]
    /// Packets that this one hands to the others.
    let toOthers: [BoundedRing?]
    /// Wakes the others after something was handed over.
    let wakers: [Waker]
    /// For a socket that is opened later.
    let offloads: Offloads
}

/// The control loop's end of a worker.
final class WorkerHandle: Sendable {
    let commands: Mailbox<WorkerCommand>
    let statistics = WorkerStatistics()
    let waker: Waker
    /// Commands come from the control loop alone, which never has so many at once.
    static let commandsMaximum = 1 << 20

    init(waker: Waker) {
        self.waker = waker
        commands = Mailbox(capacity: Self.commandsMaximum) { waker.wake() }
    }

    func send(_ command: WorkerCommand) { commands.put([command]) }
}

/// A thread that moves packets: it waits, takes a batch from what is ready, takes it through the packet path, and sends
/// what comes out. One batch per source and round, so that no source starves another.
final class Worker {
    /// How many packets a batch has that come from inside, or by a socket one by one: enough to share a system call, to fill
    /// a multi-buffer cipher, and for all of a large TCP packet.
    static let batchCapacity = 128
    /// How many there are at most: what the system puts together of many, eight times.
    static let batchCapacityMaximum = DatagramSocket.batchCapacityForCoalesced
    /// How many packets may wait between two workers.
    static let ringCapacity = 512
    /// What goes with a packet that is handed over: where it goes.
    private enum Way {
        /// From inside, to be sent.
        static let out: UInt64 = 0
        /// From the outer network by UDP 4500, to be opened.
        static let into: UInt64 = 1
    }
    /// How many reports about the size of packets are looked at within ``pathMTUReportsInterval``.
    static let pathMTUReportsMaximum = 32
    static let pathMTUReportsInterval = Duration.seconds(1)

    private enum Token {
        static let waker = 0
        static let tun = 1
        static let clear = 2
        static let pathMTUs = 3..<5
        static let version4 = OuterPorts.Tokens(from: 5)
        static let version6 = OuterPorts.Tokens(from: 5 + OuterPorts.Tokens.count)
    }

    private let index: Int
    private let ports: WorkerPorts
    private let handle: WorkerHandle
    private let reports: Mailbox<WorkerReport>
    private let endpoints: [IPAddress]
    private let localAddress: IPv4Address
    private let poller: Poller
    private var path: PacketPath
    /// UDP 1701, where the policy lets L2TP in without IPsec.
    private var clear: UDPSocket?
    private var batch = PacketBatch(capacity: batchCapacityMaximum, packetSizeMaximum: PacketPath.packetSizeMaximum)
    private var scratch = PacketBatch(capacity: batchCapacity, packetSizeMaximum: PacketPath.packetSizeMaximum)
    /// For a message to the sender of what does not fit.
    private var answer = PacketBatch(capacity: 1, packetSizeMaximum: ICMPError.lengthMaximum)
    private var pathMTUReportsSince = Instant.zero
    private var pathMTUReportsTold = 0
    private var dropsPublished: UInt64 = 0
    private var isStopped = false
    private var isInsideGone = false
    private var refusedOffloads = Offloads.none

    /// - Parameters:
    ///   - endpoints: Our outer addresses; packets to another are dropped. Empty: all are ours.
    ///   - localAddress: The gateway's inner address, from which it tells senders what does not fit.
    init(
        index: Int, ports: WorkerPorts, handle: WorkerHandle, reports: Mailbox<WorkerReport>, routes: RouteTable,
        tunnels: TunnelTable, endpoints: [IPAddress], localAddress: IPv4Address
    ) throws(SystemError) {
        self.index = index
        self.ports = ports
        self.handle = handle
        self.reports = reports
        self.endpoints = endpoints
        self.localAddress = localAddress
        path = PacketPath(worker: index, routes: routes, tunnels: tunnels, batchCapacity: Self.batchCapacityMaximum)
        poller = try Poller()
        try poller.add(handle.waker, token: Token.waker)
        try poller.add(ports.tun, token: Token.tun)
        for (socket, token) in zip(ports.pathMTUs, Token.pathMTUs) { try poller.add(socket, token: token) }
        try ports.version4.add(to: poller, Token.version4)
        try ports.version6?.add(to: poller, Token.version6)
    }

    /// Works until it is told to stop.
    func run() {
        while !isStopped {
            let ready = poller.wait(until: nil)
            let now = SystemClock.now
            if ready.contains(Token.waker) {
                handle.waker.clear()
                carryOutCommands()
                takeHeld(now: now)
                takeHandedOver(now: now)
            }
            receive(ports.version4, ready, Token.version4, now: now)
            if let version6 = ports.version6 { receive(version6, ready, Token.version6, now: now) }
            if ready.contains(Token.clear) { receiveClear(now: now) }
            for (socket, token) in zip(ports.pathMTUs, Token.pathMTUs) where ready.contains(token) {
                receivePathMTUs(socket, now: now)
            }
            if ready.contains(Token.tun) { receiveInside(now: now) }
            tellControlLoop()
        }
    }

    // MARK: From the outer network

    private func receive(_ outer: OuterPorts, _ ready: ReadySet, _ tokens: OuterPorts.Tokens, now: Instant) {
        if ready.contains(tokens.ike), let ike = outer.ike { receiveIKE(ike, now: now) }
        if ready.contains(tokens.encapsulated) { receiveEncapsulated(outer.encapsulated, now: now) }
        if ready.contains(tokens.raw) { receiveRaw(outer.raw, as: .esp, now: now) }
        if ready.contains(tokens.authenticated) { receiveRaw(outer.authenticated, as: .ah, now: now) }
    }

    private func receiveIKE(_ ike: UDPSocket, now: Instant) {
        batch.reset()
        _ = ike.receive(into: &batch)
        keepOurs()
        path.separateESP(&batch, port: IKEPort.plain)
        guard batch.count > 0 else { return }
        carryOutCommands()
        path.receive(&batch, by: .udpOfIKE, now: now)
        deliver()
    }

    private func receiveEncapsulated(_ socket: UDPSocket, now: Instant) {
        batch.reset()
        _ = socket.receive(into: &batch)
        carryOutCommands()
        keepOurs()
        path.separateIKE(&batch, port: IKEPort.encapsulated)
        handOverOthers()
        path.receive(&batch, by: .udp, now: now)
        deliver()
    }

    /// Gives the packets of other workers' SAs to them. The system chooses the worker by the first of what it puts together,
    /// which are packets of one outer flow, and those are one peer's as a rule: but not behind an IKE message of its.
    private func handOverOthers() {
        guard ports.toOthers.count > 1 else { return }
        var handedOver: UInt64 = 0
        keep { position in
            let owner = SecurityParameterIndex(batch[position].uint32(at: 0)).worker
            guard owner != index, owner < ports.toOthers.count else { return true }
            handedOver |= handOver(batch[position], Way.into, to: owner)
            return false
        }
        wake(handedOver)
    }

    private func receiveRaw(_ socket: RawSocket, as header: InboundTable.Header, now: Instant) {
        batch.reset()
        _ = socket.receive(into: &batch)
        carryOutCommands()
        keepOurs()
        path.receive(&batch, as: header, by: .none, now: now)
        deliver()
    }

    private func receiveClear(now: Instant) {
        guard let clear else { return }
        batch.reset()
        _ = clear.receive(into: &batch)
        carryOutCommands()
        keepOurs()
        path.receiveClear(&batch, now: now)
        deliver()
    }

    /// Tells the control loop what routers say. Whoever forges reports does not keep it busy: those that come while they come
    /// too fast are lost, and a packet that is still too large brings another.
    private func receivePathMTUs(_ socket: PathMTUSocket, now: Instant) {
        if now.since(pathMTUReportsSince) >= Self.pathMTUReportsInterval {
            (pathMTUReportsSince, pathMTUReportsTold) = (now, 0)
        }
        for report in socket.receive() {
            guard pathMTUReportsTold < Self.pathMTUReportsMaximum else {
                return path.drops.count(.tooManyPathMTUReports)
            }
            pathMTUReportsTold += 1
            path.report(.tooLargeForPath(report))
        }
    }

    /// Opens or closes UDP 1701.
    private func serveClear(_ isServed: Bool) {
        guard isServed != (clear != nil) else { return }
        if let clear { try? poller.remove(clear) }
        clear = nil
        guard isServed else { return }
        do throws(SystemError) {
            let socket = try UDPSocket(
                port: PacketPath.l2tpPort, batchCapacity: Self.batchCapacity, offloads: ports.offloads)
            try poller.add(socket, token: Token.clear)
            clear = socket
        } catch {
            path.report(.clearPortFailed("\(error)"))
        }
    }

    /// Keeps the packets that came to one of our endpoints.
    private func keepOurs() {
        guard !endpoints.isEmpty else { return }
        keep { position in
            if endpoints.contains(batch[position].path.local) { return true }
            path.drops.count(.notOurEndpoint)
            return false
        }
    }

    /// Gives the inside what is to be delivered.
    private func deliver() {
        keep { position in if case .deliver = path.disposition(position) { true } else { false } }
        _ = ports.tun.send(batch)
    }

    /// Moves the packets that `belongs` says to the front; slots trade places.
    @inline(__always)
    private func keep(where belongs: (Int) -> Bool) {
        var kept = 0
        for position in 0..<batch.count where belongs(position) {
            if kept != position {
                let packet = batch[position]
                batch[position] = batch[kept]
                batch[kept] = packet
            }
            kept += 1
        }
        batch.count = kept
    }

    // MARK: From inside

    private func receiveInside(now: Instant) {
        // What waited goes before what came later.
        takeHeld(now: now)
        repeat {
            batch.reset()
            _ = ports.tun.receive(into: &batch, atMost: Self.batchCapacity)
            sendBatch(now: now)
        } while ports.tun.hasMore
    }

    /// Sends what waited for an SA that is there now.
    private func takeHeld(now: Instant) {
        while path.isHeldDue {
            batch.reset()
            guard path.takeHeld(into: &batch) else { return }
            sendBatch(now: now)
        }
    }

    private func takeHandedOver(now: Instant) {
        for ring in ports.fromOthers {
            guard let ring, let way = ring.nextTag else { continue }
            batch.reset()
            while ring.nextTag == way, ring.pop(into: &batch) != nil {}
            if way == Way.into {
                path.receive(&batch, by: .udp, now: now)
                deliver()
            } else {
                sendBatch(now: now)
            }
            // What did not fit the batch is taken in the next round, after the other sources had theirs.
            if !ring.isEmpty { handle.waker.wake() }
        }
    }

    private func sendBatch(now: Instant) {
        path.send(&batch, now: now)
        scratch.reset()
        var handedOver: UInt64 = 0
        for position in 0..<batch.count {
            switch path.disposition(position) {
            case .done, .deliver: break
            case .sendInUDP, .sendInUDPOfIKE, .sendRaw, .sendClear: send(path.disposition(position), batch[position])
            case .handOver(let worker): handedOver |= handOver(batch[position], Way.out, to: worker)
            case .tooLarge(let place, let mtuBytes): sendTooLarge(batch[position], to: place, mtuBytes: mtuBytes)
            }
        }
        flush()
        wake(handedOver)
    }

    private func flush() {
        ports.version4.flush()
        ports.version6?.flush()
        _ = clear?.flush()
    }

    /// Returns the bit of the worker to be woken.
    private func handOver(_ packet: Packet, _ way: UInt64, to worker: Int) -> UInt64 {
        guard worker < ports.toOthers.count, let ring = ports.toOthers[worker], ring.push(packet, tag: way) else {
            path.drops.count(.handOverFull)
            return 0
        }
        path.handedOver &+= 1
        return 1 << UInt64(worker)
    }

    private func wake(_ workers: UInt64) {
        guard workers != 0 else { return }
        for worker in ports.wakers.indices where workers >> UInt64(worker) & 1 == 1 { ports.wakers[worker].wake() }
    }

    /// A packet that does not fit where it goes is cut, or its sender told, as the packet itself says (RFC 1191 section 4,
    /// RFC 8200 section 5).
    private func sendTooLarge(_ packet: Packet, to place: OutboundPlace, mtuBytes: Int) {
        guard let header = IPv4Header(packet) else { return sendTooLargeIPv6(packet, to: place, mtuBytes: mtuBytes) }
        if header.doNotFragment {
            path.drops.count(.tooLargeToSend)
            guard ICMPError.mayAnswer(packet, header) else { return }
            ICMPError.tooLarge(mtuBytes: mtuBytes).write(about: packet, header, from: localAddress, into: &answer[0])
            answer.count = 1
            _ = ports.tun.send(answer)
            return
        }
        guard var fragments = IPv4Fragmenter(packet, header, mtuBytes: mtuBytes) else {
            return path.drops.count(.tooLargeToSend)
        }
        while true {
            makeRoomInScratch()
            let slot = scratch.count
            guard fragments.next(into: &scratch[slot]) else { return }
            scratch.count += 1
            send(path.encapsulate(&scratch[slot], to: place), scratch[slot])
        }
    }

    private func sendTooLargeIPv6(_ packet: Packet, to place: OutboundPlace, mtuBytes: Int) {
        guard let header = IPv6Header(packet) else { return }
        guard packet.count > PacketPath.minimumMTUBytesOfIPv6 else {
            // So much every link takes that carries IPv6: what it travels in is fragmented instead.
            makeRoomInScratch()
            let slot = scratch.count
            scratch.count += 1
            scratch[slot].start.copyMemory(from: packet.start, byteCount: packet.count)
            scratch[slot].count = packet.count
            send(path.encapsulate(&scratch[slot], to: place), scratch[slot])
            return
        }
        path.drops.count(.tooLargeToSend)
        let error = ICMPError.tooLarge(mtuBytes: mtuBytes)
        guard error.mayAnswer(packet, header) else { return }
        // The gateway need not have an IPv6 address of its own; whoever looks at the message looks at what it quotes.
        error.write(about: packet, header, from: header.destination, into: &answer[0])
        answer.count = 1
        _ = ports.tun.send(answer)
    }

    private func makeRoomInScratch() {
        guard scratch.count == scratch.capacity else { return }
        flush()
        scratch.reset()
    }

    private func send(_ disposition: Disposition, _ packet: Packet) {
        if case .sendClear = disposition {
            _ = clear?.stage(packet)
            return
        }
        let isTaken =
            if case .v4 = packet.path.remote.address {
                ports.version4.stage(disposition, packet)
            } else if let version6 = ports.version6 {
                version6.stage(disposition, packet)
            } else {
                false
            }
        if !isTaken { path.drops.count(.noOuterSocket) }
    }

    // MARK: With the control loop

    /// Also to be called when packets have come and before they are looked at: a peer that was told of an SA sends by it at
    /// once, and its first packet may be here before we are woken for the command that came before that.
    private func carryOutCommands() {
        guard !handle.commands.isEmpty else { return }
        scratch.reset()
        for command in handle.commands.takeAll() {
            switch command {
            case .sendControl(let peer, let remotePort, let message):
                guard let record = path.peers[peer] else {
                    path.drops.count(.messageForGone)
                    continue
                }
                sendMessage(message) { packet in path.sendL2TP(&packet, to: record, remotePort: remotePort) }
            case .sendFrame(let session, let frame):
                guard let record = path.sessions[session] else {
                    path.drops.count(.messageForGone)
                    continue
                }
                sendMessage(frame) { packet in path.sendFrame(&packet, session: record) }
            case .sendKeepalive(let peer):
                guard let record = path.peers[peer] else { continue }
                sendMessage(PacketPath.keepalive) { packet in path.sendKeepalive(&packet, to: record) }
            case .serveClear(let isServed): serveClear(isServed)
            case .stop:
                isStopped = true
            default:
                // Order matters: what was to be sent before an SA is removed goes by that SA, and is sealed already.
                if !path.carryOut(command) { path.drops.count(.notInstalled) }
            }
        }
        flush()
    }

    private func sendMessage(_ message: [UInt8], _ wrap: (inout Packet) -> Disposition) {
        guard message.count <= scratch.packetSizeMaximum else { return path.drops.count(.tooLargeToSend) }
        makeRoomInScratch()
        let slot = scratch.count
        scratch.count += 1
        scratch[slot].start.copyMemory(from: message, byteCount: message.count)
        scratch[slot].count = message.count
        send(wrap(&scratch[slot]), scratch[slot])
    }

    private func noteRefusal(_ offload: Offloads, _ error: Int32?) {
        guard let error, !refusedOffloads.contains(offload) else { return }
        refusedOffloads.insert(offload)
        path.report(.offloadRefused(name: offload.description, error: error))
    }

    private func tellControlLoop() {
        if ports.tun.isGone, !isInsideGone {
            isInsideGone = true
            // A removed interface would stay ready for ever.
            try? poller.remove(ports.tun)
            path.report(.interfaceGone)
        }
        noteRefusal(.udpSegmentation, ports.version4.encapsulated.segmentationRefusal)
        noteRefusal(.udpSegmentation, ports.version4.unfragmented?.segmentationRefusal)
        noteRefusal(.udpSegmentation, ports.version6?.encapsulated.segmentationRefusal)
        noteRefusal(.tunCoalescing, ports.tun.coalescingRefusal)
        if !path.reports.isEmpty {
            let refused = reports.put(path.reports)
            for _ in 0..<refused { path.drops.count(.controlQueueFull) }
            path.reports.removeAll(keepingCapacity: true)
        }
        handle.statistics.publish(path)
        // A round may be for one packet, and there are more than a hundred reasons.
        let dropTotal =
            path.inboundTable.drops.total &+ path.notSealed.total &+ path.drops.total &+ ports.tun.drops.total
            &+ ports.version4.dropTotal &+ (ports.version6?.dropTotal ?? 0)
        guard dropTotal != dropsPublished else { return }
        dropsPublished = dropTotal
        publishDrops()
    }

    private func publishDrops() {
        handle.statistics.publishDrops(path)
        var outer = ports.version4.drops
        if let version6 = ports.version6?.drops {
            outer.udp.add(version6.udp)
            outer.ike.add(version6.ike)
            outer.raw.add(version6.raw)
        }
        handle.statistics.publishDrops(udp: outer.udp, ike: outer.ike, raw: outer.raw, tun: ports.tun.drops)
    }
}
