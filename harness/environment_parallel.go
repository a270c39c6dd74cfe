package harness

import (
	"errors"
	"maps"
	"slices"

	"github.com/envharness/envharness/harness/internal/child"
	"github.com/envharness/envharness/harness/internal/environ"
)

// runParallel runs Jobs executables at a time. Each sees what it would see if they ran one after the other, as far as
// it can be known what it looks at: it sees those that it mentions, and waits for them. A program that is no script
// may look at anything, so it waits for all that come before it.
func (s *startup) runParallel(executables []entry) {
	tasks := s.tasksOf(executables)
	culprit := s.culprit
	finished := make(chan int)
	running := 0
	for {
		for i := range s.wanted(tasks) {
			if running < s.Jobs && s.mayContinue() && tasks[i].isReady(tasks) {
				tasks[i].started = true
				running++
				s.renewTask(tasks[i])
				env := s.environFor(tasks, i)
				go func() {
					tasks[i].evaluation = s.evaluate(tasks[i].entry, env)
					finished <- i
				}()
			}
		}
		if running == 0 {
			break
		}
		tasks[<-finished].done = true
		running--
		s.endUnwanted(tasks)
	}
	wanted := s.wanted(tasks)
	for i, t := range tasks {
		if !t.done || i >= wanted && t.evaluation.err != nil {
			continue
		}
		s.culprit = culprit
		if failed := slices.IndexFunc(tasks[:i], func(u *task) bool { return u.evaluation.err != nil && t.follows[u.number] }); failed >= 0 && culprit == "" {
			s.culprit = tasks[failed].entry.path
		}
		s.apply(t.entry, t.evaluation)
	}
}

// renewTask is renew for one task.
func (s *startup) renewTask(t *task) {
	one := []entry{t.entry}
	s.renew(one, t.entry)
	t.entry = one[0]
}

// task is an executable in a parallel run.
type task struct {
	entry         entry
	number        int
	waits         []int        // tasks that it runs after
	follows       map[int]bool // those, and the ones that they run after
	started, done bool
	evaluation    evaluation
}

// tasksOf puts executables in their order.
func (s *startup) tasksOf(executables []entry) []*task {
	q := s.queue(executables, s.warnCycle(executables))
	place := make([]int, len(executables))
	tasks := make([]*task, 0, len(executables))
	for i, ok := q.Next(); ok; i, ok = q.Next() {
		t := &task{entry: executables[i], number: len(tasks), follows: map[int]bool{}}
		t.entry.cancel = child.NewCancel()
		place[i] = t.number
		if isOpaque(executables[i]) {
			for before := range tasks {
				t.waits = append(t.waits, before)
			}
		} else {
			for _, m := range q.Mentions(i) {
				t.waits = append(t.waits, place[m])
			}
		}
		for _, w := range t.waits {
			t.follows[w] = true
			maps.Copy(t.follows, tasks[w].follows)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

func isOpaque(e entry) bool {
	return !isScript(readHead(e.at, 2))
}

func (t *task) isReady(tasks []*task) bool {
	return !t.started && !slices.ContainsFunc(t.waits, func(w int) bool { return !tasks[w].done })
}

// wanted is how many of the tasks would run if they ran one after the other: with FailFast none that comes after the
// first that fails. So those before a failure go on, and the failure that is told is the same with any number of jobs.
func (s *startup) wanted(tasks []*task) int {
	if !s.FailFast {
		return len(tasks)
	}
	failed := slices.IndexFunc(tasks, (*task).hasFailed)
	if failed < 0 {
		return len(tasks)
	}
	return failed + 1
}

func (t *task) hasFailed() bool {
	return t.done && t.evaluation.err != nil && !errors.Is(t.evaluation.err, child.ErrStopped)
}

// endUnwanted ends what runs and would not.
func (s *startup) endUnwanted(tasks []*task) {
	for _, t := range tasks[s.wanted(tasks):] {
		if t.started && !t.done {
			t.entry.cancel.End()
		}
	}
}

// environFor is what a task sees: what was there before all of them, and what those gave that it runs after.
func (s *startup) environFor(tasks []*task, i int) *environ.Environ {
	env, ranks := s.env.Clone(), maps.Clone(s.ranks)
	for _, t := range tasks[:i] {
		if !tasks[i].follows[t.number] {
			continue
		}
		for _, m := range t.evaluation.members {
			decide(env, ranks, t.entry.rank, m)
		}
	}
	return env
}
