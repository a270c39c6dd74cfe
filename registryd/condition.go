package registryd

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

var errCondition = errors.New("it is not as If-Match or If-None-Match has it")

// condition is what a request's If-Match and If-None-Match ask for (RFC 9110, 13.1). The zero condition always
// holds.
type condition struct {
	match, noneMatch []string // tags, or "*"
	hasMatch         bool     // there is an If-Match, which may have no tag that can be one
}

func readCondition(r *http.Request) condition {
	match, hasMatch := r.Header["If-Match"]
	noneMatch := tags(r.Header["If-None-Match"])
	for i, tag := range noneMatch {
		noneMatch[i] = strings.TrimPrefix(tag, "W/") // compared weakly
	}
	return condition{match: tags(match), noneMatch: noneMatch, hasMatch: hasMatch}
}

// tags takes lists of tags apart. Ours have no comma, and none is weak.
func tags(lists []string) []string {
	var all []string
	for _, list := range lists {
		for tag := range strings.SplitSeq(list, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				all = append(all, tag)
			}
		}
	}
	return all
}

func (c condition) always() bool { return !c.hasMatch && len(c.noneMatch) == 0 }

// of reports whether a write may be done to what has that revision; 0 is of nothing.
func (c condition) of(revision int64) bool {
	return (!c.hasMatch || matches(c.match, revision)) && !matches(c.noneMatch, revision)
}

// unchanged reports whether a reader has that revision already.
func (c condition) unchanged(revision int64) bool {
	return matches(c.noneMatch, revision)
}

func matches(tags []string, revision int64) bool {
	if revision == 0 {
		return false
	}
	for _, tag := range tags {
		if tag == "*" || tag == etag(revision) {
			return true
		}
	}
	return false
}

// etag is the entity tag of a key: etcd's revision of it.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }
