package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Only expects each of count answers to be one of the words (driver.Answer.Word),
// such as "200 from smi-apps/v1". Not every word has to be among the answers: how
// a mesh chooses among the pods of one Service is its own affair.
func (t *T) Only(c Call, count int, words ...string) {
	got := t.Send(c, count)
	var wrong []string
	for _, word := range slices.Sorted(maps.Keys(got.Words)) {
		if !slices.Contains(words, word) {
			wrong = append(wrong, fmt.Sprintf("%d were %s", got.Words[word], word))
		}
	}
	t.record(c, fmt.Sprintf("each of %d one of %s", count, strings.Join(words, ", ")), got, strings.Join(wrong, ", "))
}
