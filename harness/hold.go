package harness

import "github.com/envharness/envharness/harness/internal/child"

// held is an entry whose executable said READY=1 and runs on.
type held struct {
	entry entry
	hook  *child.Hook
}

// hold decides what becomes of a held executable of /environment: under Init it stays and pushes new values,
// without Init it has given its one value and is ended.
func (s *startup) hold(e entry, w *child.Wait, wanted bool) {
	if s.Init.Enabled && wanted {
		s.discoverers = append(s.discoverers, held{e, child.NewHook(w)})
		return
	}
	if s.Init.Enabled {
		go w.Discard()
		return
	}
	w.End(child.KillAfter)
	w.Close()
}

// holdExport does the same for /export: under Init it is kept running, without Init it runs on beside COMMAND.
func (s *startup) holdExport(e entry, w *child.Wait) {
	if s.Init.Enabled {
		s.exporters = append(s.exporters, held{e, child.NewHook(w)})
		return
	}
	w.Release()
}
