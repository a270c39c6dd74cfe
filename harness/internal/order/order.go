// Package order finds out in which order executables run: each after those whose names its script mentions.
//
// The common case reads a script at the time it is needed:
//
//	q := order.New(nodes, warn)
//	for i, ok := q.Next(); ok; i, ok = q.Next() {
//		run(i) // and q.ReadAhead() meanwhile
//	}
package order

import (
	"bytes"
	"slices"
)

// MaxScript is how much of a script is looked at, in bytes.
const MaxScript = 64 << 10

// Node is one executable. The order of nodes is the one in which they run as far as no mention says otherwise.
type Node struct {
	Name   string                 // the word that a script mentions it by
	Script func() (script []byte) // the beginning of its script, nil for what is none; called once, when it matters
	Behind []int                  // nodes that it follows whether it mentions them or not, unless they follow it
}

// Queue gives nodes out in their order. It is not safe for concurrent use.
type Queue struct {
	nodes    []Node
	words    map[string]int // names that are words, by which a script is looked through once
	phrases  []int          // nodes whose names are not
	mentions [][]int        // of each node that was read
	read     []bool
	done     []bool
	cycle    func(nodes []int)
	ahead    int // nodes before it are read
}

// New makes a queue. A cycle of mentions is told as the nodes on it, each of which mentions the next one and the last
// the first; they are taken in their own order, then.
func New(nodes []Node, cycle func(nodes []int)) *Queue {
	q := &Queue{nodes: nodes, words: make(map[string]int, len(nodes)), cycle: cycle,
		mentions: make([][]int, len(nodes)), read: make([]bool, len(nodes)), done: make([]bool, len(nodes))}
	for i, n := range nodes {
		if isWord(n.Name) {
			q.words[n.Name] = i
		} else if n.Name != "" {
			q.phrases = append(q.phrases, i)
		}
	}
	return q
}

// Next is the first node that mentions none of those that are left, or false when none is left.
func (q *Queue) Next() (node int, ok bool) {
	for {
		left := false
		for i := range q.nodes {
			if q.done[i] {
				continue
			}
			left = true
			if !slices.ContainsFunc(q.Mentions(i), q.isLeft) {
				q.done[i] = true
				return i, true
			}
		}
		if !left {
			return 0, false
		}
		q.breakCycle()
	}
}

func (q *Queue) isLeft(i int) bool { return !q.done[i] }

// ReadAhead reads one script that Next has not needed yet.
func (q *Queue) ReadAhead() {
	for q.ahead < len(q.nodes) {
		q.ahead++
		if i := q.ahead - 1; !q.read[i] {
			q.Mentions(i)
			return
		}
	}
}

// Mentions are the nodes that a node runs after, by number, without those that a cycle has made it run before.
func (q *Queue) Mentions(i int) []int {
	if !q.read[i] {
		q.read[i] = true
		if len(q.nodes) > 1 {
			q.mentions[i] = q.find(i, q.nodes[i].Script())
		}
		for _, before := range q.nodes[i].Behind {
			if before != i && !slices.Contains(q.mentions[i], before) && !q.follows(before, i) {
				q.mentions[i] = append(q.mentions[i], before)
			}
		}
		slices.Sort(q.mentions[i])
	}
	return q.mentions[i]
}

// follows tells whether a node mentions another, over any number of others.
func (q *Queue) follows(node, other int) bool {
	seen := make([]bool, len(q.nodes))
	var search func(int) bool
	search = func(i int) bool {
		if i == other {
			return true
		}
		if seen[i] {
			return false
		}
		seen[i] = true
		return slices.ContainsFunc(q.Mentions(i), search)
	}
	return search(node)
}

// find looks a script through for the names of other nodes.
func (q *Queue) find(self int, script []byte) (mentions []int) {
	add := func(i int) {
		if i != self && !slices.Contains(mentions, i) {
			mentions = append(mentions, i)
		}
	}
	script = script[:min(len(script), MaxScript)]
	for _, i := range q.phrases {
		if containsWord(script, q.nodes[i].Name) {
			add(i)
		}
	}
	for start := 0; start < len(script); {
		if !inWord[script[start]] {
			start++
			continue
		}
		end := start + 1
		for end < len(script) && inWord[script[end]] {
			end++
		}
		if i, known := q.words[string(script[start:end])]; known {
			add(i)
		}
		start = end
	}
	return mentions
}

// breakCycle finds a cycle among the nodes that are left, and lets those on it run in their own order.
func (q *Queue) breakCycle() {
	on := q.findCycle()
	q.cycle(on)
	for _, i := range on {
		q.mentions[i] = slices.DeleteFunc(q.mentions[i], func(m int) bool { return m > i && slices.Contains(on, m) })
	}
}

// findCycle follows first mentions until it comes to a node again: every node that is left mentions one that is left.
func (q *Queue) findCycle() []int {
	var path []int
	i := slices.Index(q.done, false)
	for {
		if at := slices.Index(path, i); at >= 0 {
			path = path[at:]
			break
		}
		path = append(path, i)
		i = q.mentions[i][slices.IndexFunc(q.mentions[i], q.isLeft)]
	}
	first := slices.Index(path, slices.Min(path))
	return slices.Concat(path[first:], path[:first])
}

func containsWord(script []byte, name string) bool {
	for rest := script; ; {
		i := bytes.Index(rest, []byte(name))
		if i < 0 {
			return false
		}
		end := i + len(name)
		if !(i > 0 && inWord[rest[i-1]] && inWord[name[0]]) && !(end < len(rest) && inWord[rest[end]] && inWord[name[len(name)-1]]) {
			return true
		}
		rest = rest[i+1:]
	}
}

func isWord(name string) bool {
	for _, c := range []byte(name) {
		if !inWord[c] {
			return false
		}
	}
	return name != ""
}

// inWord tells the bytes of a word: those that a variable's name may have.
var inWord = [256]bool{
	'_': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true, 'K': true, 'L': true, 'M': true,
	'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true, 'k': true, 'l': true, 'm': true,
	'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}
