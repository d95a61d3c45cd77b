// Package spelling says what somebody probably meant who wrote a name that is
// not known.
//
// It compares words and nothing else. It never decides that one name stands for
// another: a suggestion is for a person to read.
package spelling

import (
	"strings"
)

// Nearest returns the known name that somebody who wrote another one probably
// meant, or "".
func Nearest(written string, known []string) string {
	const longest = 64 // no name of ours is longer, and a distance is quadratic
	if len(written) > longest {
		return ""
	}
	best, least := "", 1+max(2, len(written)/3)
	for _, name := range known {
		d := distance(strings.ToLower(written), strings.ToLower(name))
		if d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// Hint says what could have been meant instead of a name, as the end of a
// sentence: a suggestion, the known names where they are few, or nothing.
func Hint(written string, known []string) string {
	const most = 12 // more names than this help nobody
	if name := Nearest(written, known); name != "" {
		return ", did you mean " + name + "?"
	}
	if len(known) == 0 || len(known) > most {
		return ""
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour in order to make one word of the other.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replaced := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				replaced++
			}
			rows[i][j] = min(replaced, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
