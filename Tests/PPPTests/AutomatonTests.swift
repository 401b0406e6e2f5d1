import Testing

@testable import PPP

/// RFC 1661 section 4.1, the two halves of the table side by side. Options r, p and x are left out: they name cases that
/// the note below the table describes, not other actions.
private let table = """
    Up      -      irc,scr/6  -          -              -      -      -         -          -          -
    Down    -      -          0          tls/1          0      1      1         1          1          tld/1
    Open    tls/1  1          irc,scr/6  3              5      5      6         7          8          9
    Close   0      tlf/0      2          2              4      4      irc,str/4 irc,str/4  irc,str/4  tld,irc,str/4
    TO+     -      -          -          -              str/4  str/5  scr/6     scr/6      scr/8      -
    TO-     -      -          -          -              tlf/2  tlf/3  tlf/3     tlf/3      tlf/3      -
    RCR+    -      -          sta/2      irc,scr,sca/8  4      5      sca/8     sca,tlu/9  sca/8      tld,scr,sca/8
    RCR-    -      -          sta/2      irc,scr,scn/6  4      5      scn/6     scn/7      scn/6      tld,scr,scn/6
    RCA     -      -          sta/2      sta/3          4      5      irc/7     scr/6      irc,tlu/9  tld,scr/6
    RCN     -      -          sta/2      sta/3          4      5      irc,scr/6 scr/6      irc,scr/8  tld,scr/6
    RTR     -      -          sta/2      sta/3          sta/4  sta/5  sta/6     sta/6      sta/6      tld,zrc,sta/5
    RTA     -      -          2          3              tlf/2  tlf/3  6         6          8          tld,scr/6
    RUC     -      -          scj/2      scj/3          scj/4  scj/5  scj/6     scj/7      scj/8      scj/9
    RXJ+    -      -          2          3              4      5      6         6          8          9
    RXJ-    -      -          tlf/2      tlf/3          tlf/2  tlf/3  tlf/3     tlf/3      tlf/3      tld,irc,str/5
    RXR     -      -          2          3              4      5      6         7          8          ser/9
    """

private func name(_ action: Automaton.Action) -> String {
    switch action {
    case .layerUp: "tlu"
    case .layerDown: "tld"
    case .layerStarted: "tls"
    case .layerFinished: "tlf"
    case .initializeRestartCount: "irc"
    case .zeroRestartCount: "zrc"
    case .sendConfigureRequest: "scr"
    case .sendConfigureAck: "sca"
    case .sendConfigureNakOrReject: "scn"
    case .sendTerminateRequest: "str"
    case .sendTerminateAck: "sta"
    case .sendCodeReject: "scj"
    case .sendEchoReply: "ser"
    }
}

@Suite struct AutomatonTests {
    @Test("every state and event does what the table of RFC 1661 section 4.1 says")
    func wholeTable() throws {
        let rows = table.split(separator: "\n").map { $0.split(separator: " ") }
        // Up and Down are missing cells in the RFC's second half, written as dashes.
        #expect(rows.count == Automaton.Event.allCases.count)
        for (event, row) in zip(Automaton.Event.allCases, rows) {
            try #require(row.count == 11, "\(row)")
            for state in Automaton.State.allCases {
                let transition = Automaton.transition(from: state, on: event)
                let actions = transition?.actions.map(name).joined(separator: ",") ?? ""
                let cell = transition.map { (actions.isEmpty ? "" : actions + "/") + "\($0.next.rawValue)" } ?? "-"
                #expect(cell == row[Int(state.rawValue) + 1], "\(event) in \(state)")
            }
        }
    }

    @Test("the restart timer runs in Closing, Stopping, Req-Sent, Ack-Rcvd and Ack-Sent alone")
    func timerStates() {
        #expect(
            Automaton.State.allCases.filter(\.runsTimer)
                == [.closing, .stopping, .requestSent, .ackReceived, .ackSent])
    }
}
