import Testing
import Wire

@Suite("Tables and lists of records")
struct RecordTests {
    private struct Value: Sendable, Equatable {
        var number: Int
        var list: [Int] = []
    }

    @Test("a table does what a dictionary does, through any changes")
    func table() {
        var table = RecordTable<Int, Value>()
        var model: [Int: Value] = [:]
        var generator = SeededGenerator(1)
        for step in 0..<5000 {
            let key = Int.random(in: 0..<60, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: (table[key], model[key]) = (Value(number: step), Value(number: step))
            case 1: (table[key], model[key]) = (nil, nil)
            case 2:
                let taken = (table.removeValue(forKey: key), model.removeValue(forKey: key))
                #expect(taken.0 == taken.1)
            case 3:
                let changed = table.change(key) { value in
                    value.list.append(step)
                    return step
                }
                model[key]?.list.append(step)
                #expect(changed == (model[key] == nil ? nil : step))
            default:
                table[key]?.number += 1
                model[key]?.number += 1
            }
            #expect(table[key] == model[key] && table.count == model.count && table.isEmpty == model.isEmpty)
        }
        #expect(table.keys.sorted() == model.keys.sorted())
        #expect(table.values.map(\.number).sorted() == model.values.map(\.number).sorted())
        #expect(table.values.first != nil)
    }

    @Test("a copy of a table, or of a list, stays what it was")
    func copies() {
        var table = RecordTable<Int, Value>()
        for key in 0..<10 { table[key] = Value(number: key) }
        let copy = table
        for key in 0..<10 { table[key]?.list.append(key) }
        table.change(3) { $0.number = 100 }
        table[4] = nil
        #expect(copy.count == 10 && copy.values.allSatisfy(\.list.isEmpty) && copy[3]?.number == 3)
        #expect(table.count == 9 && table[3] == Value(number: 100, list: [3]))

        var list = RecordList<Value>()
        for number in 0..<10 { list.append(Value(number: number)) }
        let older = list
        list[2].list.append(2)
        list[3] = Value(number: 33)
        #expect(older.map(\.number) == Array(0..<10) && older.allSatisfy(\.list.isEmpty))
        #expect(list[2].list == [2] && list[3].number == 33 && list.count == 10)
    }

    @Test("while a table is gone through it may be changed")
    func walk() {
        var table = RecordTable<Int, Value>()
        for key in 0..<10 { table[key] = Value(number: key) }
        var seen: Set<Int> = []
        for value in table.values {
            seen.insert(value.number)
            table[value.number]?.number += 100
            table[(value.number + 1) % 10] = nil
        }
        #expect(seen == Set(0..<10))
    }

    @Test("sparse counters count, and name only what was counted")
    func sparseCounters() {
        var counters = SparseCounters<Character>()
        #expect(counters.nonzero.isEmpty && counters["a"] == 0)
        for reason in "abacab" as String { counters.count(reason) }
        #expect(counters["a"] == 3 && counters["b"] == 2 && counters["c"] == 1 && counters["d"] == 0)
        #expect(counters.nonzero.count == 3)
    }
}
