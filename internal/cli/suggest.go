package cli

// Nearest is the word that somebody who wrote another may have meant, or empty.
func Nearest(written string, words []string) string {
	best, fewest := "", 1+len(written)/3
	for _, word := range words {
		if n := distance(written, word); n > 0 && n <= fewest && (best == "" || n < fewest) {
			best, fewest = word, n
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with the next one that make b of a: the optimal
// string alignment distance.
func distance(a, b string) int {
	before, last, row := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
