package manual

import (
	"regexp"
	"strings"
)

var numbered = regexp.MustCompile(`^[0-9]+\. `)

// markdown writes a passage of a document: paragraphs, lists, tables, blocks and headings below its own.
func (r *roff) markdown(text string) {
	blocks := regexp.MustCompile("(?ms)^```[^\n]*\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1)
	at := 0
	for _, b := range blocks {
		r.prose(text[at:b[0]])
		r.code(text[b[2]:b[3]])
		at = b[1]
	}
	r.prose(text[at:])
}

// prose writes what stands between fenced blocks, paragraph by paragraph.
func (r *roff) prose(text string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		block = strings.Trim(block, "\n")
		switch {
		case block == "" || strings.HasPrefix(block, "- [") && onlyLinks(block):
		case strings.HasPrefix(block, "#"):
			heading, rest, _ := strings.Cut(block, "\n")
			if name, is := strings.CutPrefix(heading, "## "); is {
				r.line(".SH " + words(strings.ToUpper(name)))
			} else {
				r.line(".SS " + words(strings.TrimLeft(heading, "# ")))
			}
			r.prose(rest)
		case strings.HasPrefix(block, "|"):
			r.table(block)
		case strings.HasPrefix(block, "    "):
			r.code(strings.ReplaceAll(strings.TrimPrefix(block, "    "), "\n    ", "\n"))
		case strings.HasPrefix(block, "- ") || numbered.MatchString(block):
			r.list(block)
		default:
			r.paragraph(block)
		}
	}
}

// onlyLinks tells a list of a document's sections, which a page has no use for.
func onlyLinks(block string) bool {
	for line := range strings.SplitSeq(block, "\n") {
		if !strings.HasPrefix(line, "- [") || !strings.HasSuffix(line, ")") {
			return false
		}
	}
	return true
}

// list writes items, each of which may go on in lines that are indented.
func (r *roff) list(block string) {
	for item := range strings.SplitSeq(regexp.MustCompile(`\n(- |[0-9]+\. )`).ReplaceAllString(block, "\x00$1"), "\x00") {
		mark := `\(bu 2`
		if number := numbered.FindString(item); number != "" {
			mark = strings.TrimSpace(number) + " 4"
		}
		r.line(".IP " + mark)
		r.flow(inline(strings.TrimPrefix(numbered.ReplaceAllString(item, ""), "- ")))
	}
}

// table writes one as a list: the first cell is what is told of, the others follow, each behind its column's head.
func (r *roff) table(block string) {
	rows := strings.Split(block, "\n")
	if len(rows) < 3 {
		return
	}
	heads := cells(rows[0])
	for _, row := range rows[2:] {
		columns := cells(row)
		r.line(".TP")
		r.line(guard(inline(columns[0])))
		told := 0
		for i, cell := range columns[1:] {
			if cell == "" {
				continue
			}
			if told++; told > 1 {
				r.line(".br")
			}
			if head := heads[i+1]; head != "" && len(columns) > 2 {
				cell = "*" + strings.ReplaceAll(head, "`", "") + "*: " + cell
			}
			r.flow(inline(cell))
		}
	}
}

// cells takes a row apart. A bar in a cell is written \|.
func cells(row string) []string {
	row = strings.ReplaceAll(strings.TrimSpace(row), `\|`, "\x00")
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(parts[i], "\x00", "|"))
	}
	return parts
}
