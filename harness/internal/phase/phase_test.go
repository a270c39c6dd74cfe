package phase

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	phaseNames  = map[Phase]string{Starting: "starting", Running: "running", Restarting: "restarting", Withdrawing: "withdrawing", Terminating: "terminating", Exited: "exited", Ended: "ended"}
	eventNames  = map[Event]string{CommandStarted: "commandStarted", StartFailed: "startFailed", CommandExited: "commandExited", StopWanted: "stopWanted", RestartWanted: "restartWanted", Withdrawn: "withdrawn", WithdrawalLate: "withdrawalLate", GraceOver: "graceOver"}
	nothingDone = []Action(nil)
)

// TestEveryPhaseAndEvent has every pair: what does not change anything is written down, too, so that whoever adds a
// phase or an event has to say what the others make of it.
func TestEveryPhaseAndEvent(t *testing.T) {
	type step struct {
		next    Phase
		actions []Action
	}
	stays := func(p Phase) step { return step{p, nothingDone} }
	table := map[Phase]map[Event]step{
		Starting: {
			CommandStarted: {Running, nothingDone},
			StartFailed:    {Ended, nothingDone},
			CommandExited:  stays(Starting),
			StopWanted:     stays(Starting), // it ends start-up, before there is anything to stop
			RestartWanted:  stays(Starting),
			Withdrawn:      stays(Starting),
			WithdrawalLate: stays(Starting),
			GraceOver:      stays(Starting),
		},
		Running: {
			CommandStarted: stays(Running),
			StartFailed:    stays(Running),
			CommandExited:  {Exited, []Action{EndProbes, ReclaimTerminal, BeginGrace, LimitRest}},
			StopWanted:     {Withdrawing, []Action{BeginGrace, LimitWithdrawal}},
			RestartWanted:  {Restarting, []Action{EndProbes, ClearReady, SendStop, BeginGrace}},
			Withdrawn:      stays(Running), // drained, unhealthy, or not ready yet
			WithdrawalLate: stays(Running),
			GraceOver:      stays(Running),
		},
		Restarting: {
			CommandStarted: {Running, nothingDone},
			StartFailed:    {Exited, []Action{ReclaimTerminal, BeginGrace, LimitRest}},
			CommandExited:  {Restarting, []Action{EndGrace, StartAgain}},
			StopWanted:     {Withdrawing, []Action{BeginGrace, LimitWithdrawal}},
			RestartWanted:  stays(Restarting), // it is started with the newest values anyway
			Withdrawn:      stays(Restarting),
			WithdrawalLate: stays(Restarting),
			GraceOver:      {Restarting, []Action{KillCommand}},
		},
		Withdrawing: {
			CommandStarted: stays(Withdrawing),
			StartFailed:    stays(Withdrawing),
			CommandExited:  {Exited, []Action{EndProbes, ReclaimTerminal}},
			StopWanted:     {Terminating, []Action{SendStop}}, // somebody insists
			RestartWanted:  stays(Withdrawing),
			Withdrawn:      {Terminating, []Action{SendStop}},
			WithdrawalLate: {Terminating, []Action{SendStop}},
			GraceOver:      {Terminating, []Action{AbandonWithdrawal, KillCommand}},
		},
		Terminating: {
			CommandStarted: stays(Terminating),
			StartFailed:    stays(Terminating),
			CommandExited:  {Exited, []Action{EndProbes, ReclaimTerminal}},
			StopWanted:     {Terminating, []Action{SendStop}},
			RestartWanted:  stays(Terminating),
			Withdrawn:      stays(Terminating), // it has got the signal already
			WithdrawalLate: stays(Terminating),
			GraceOver:      {Terminating, []Action{AbandonWithdrawal, KillCommand}},
		},
		Exited: {
			CommandStarted: stays(Exited),
			StartFailed:    stays(Exited),
			CommandExited:  stays(Exited),
			StopWanted:     stays(Exited), // it is ending already
			RestartWanted:  stays(Exited),
			Withdrawn:      {Ended, nothingDone},
			WithdrawalLate: stays(Exited),
			GraceOver:      {Exited, []Action{AbandonWithdrawal}},
		},
		Ended: {
			CommandStarted: stays(Ended),
			StartFailed:    stays(Ended),
			CommandExited:  stays(Ended),
			StopWanted:     stays(Ended),
			RestartWanted:  stays(Ended),
			Withdrawn:      stays(Ended),
			WithdrawalLate: stays(Ended),
			GraceOver:      stays(Ended),
		},
	}
	require.Len(t, table, int(Ended)+1, "every phase")
	for p := Starting; p <= Ended; p++ {
		require.Len(t, table[p], int(GraceOver)+1, "every event in %s", phaseNames[p])
		for e := CommandStarted; e <= GraceOver; e++ {
			next, actions := p.Next(e)
			pair := fmt.Sprintf("%s in %s", eventNames[e], phaseNames[p])
			require.Equal(t, phaseNames[table[p][e].next], phaseNames[next], pair)
			require.Equal(t, table[p][e].actions, actions, pair)
		}
	}
}

// TestEveryPathEnds follows a stop from every phase: whatever comes in between, COMMAND gets one signal at least or has
// exited, and the harness ends once COMMAND has exited and the service is withdrawn.
func TestEveryPathEnds(t *testing.T) {
	for p := Running; p <= Exited; p++ {
		for between := CommandStarted; between <= GraceOver; between++ {
			at, actions := p.Next(StopWanted)
			done := actions
			for _, e := range []Event{between, Withdrawn, GraceOver, CommandExited, Withdrawn} {
				at, actions = at.Next(e)
				done = append(done, actions...)
			}
			pair := fmt.Sprintf("%s after a stop in %s", eventNames[between], phaseNames[p])
			require.Equal(t, "ended", phaseNames[at], pair)
			if p != Exited && between != CommandExited {
				require.True(t, slices.Contains(done, SendStop) || slices.Contains(done, KillCommand), pair)
			}
		}
	}
}
