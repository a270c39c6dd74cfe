// Package phase decides what the harness beside COMMAND does next: an event in a phase gives the next phase and what
// is to be done. It does nothing itself, so that a table tests every pair.
package phase

// Phase is where in its life the harness beside COMMAND is. What it does next depends on that and on what happens,
// and on nothing else: see Next.
type Phase int

// The phases, in the order in which they come.
const (
	Starting    Phase = iota // COMMAND has not been started yet
	Running                  // COMMAND runs
	Restarting               // COMMAND has been sent the stop signal, and is started again once it has exited
	Withdrawing              // a stop has begun: COMMAND gets the signal once the service is withdrawn
	Terminating              // COMMAND has been sent the signal of the stop
	Exited                   // COMMAND has exited for good, and the service is being withdrawn
	Ended                    // nothing is left to do
)

// Event is what happens to the harness beside COMMAND.
type Event int

// The events.
const (
	CommandStarted Event = iota // for the first time or again
	StartFailed                 // COMMAND could not be started
	CommandExited
	StopWanted     // by a signal, or by a change of values
	RestartWanted  // by a change of values
	Withdrawn      // nothing is announced and nothing is under way, now and whenever it is looked at
	WithdrawalLate // the withdrawal has taken three quarters of the grace
	GraceOver
)

// Action is what the harness does about an event.
type Action int

// The actions.
const (
	EndProbes         Action = iota // COMMAND is not asked any more whether it is ready and healthy
	ClearReady                      // it is not ready any more
	BeginGrace                      // from now on it has the grace
	EndGrace                        // nothing is to be over in time any more
	LimitWithdrawal                 // of which the withdrawal may take three quarters
	LimitRest                       // of which what COMMAND has left behind gets no more than a second
	SendStop                        // COMMAND gets the signal of the stop
	AbandonWithdrawal               // the withdrawal is taken for done
	KillCommand                     // COMMAND's group gets KILL
	StartAgain                      // COMMAND is started with the current environment
	ReclaimTerminal                 // whoever started the harness goes on in front of the terminal
)

// Next is the phase that follows p after e, and what is to be done, in this order. An event that a phase does not
// mention changes nothing.
func (p Phase) Next(e Event) (Phase, []Action) {
	switch p {
	case Starting:
		return p.nextStarting(e)
	case Running:
		return p.nextRunning(e)
	case Restarting:
		return p.nextRestarting(e)
	case Withdrawing, Terminating:
		return p.nextStopping(e)
	case Exited:
		return p.nextExited(e)
	}
	return p, nil
}

func (p Phase) nextStarting(e Event) (Phase, []Action) {
	switch e {
	case CommandStarted:
		return Running, nil
	case StartFailed:
		return Ended, nil
	}
	return p, nil
}

func (p Phase) nextRunning(e Event) (Phase, []Action) {
	switch e {
	case StopWanted:
		return Withdrawing, []Action{BeginGrace, LimitWithdrawal}
	case RestartWanted:
		return Restarting, []Action{EndProbes, ClearReady, SendStop, BeginGrace}
	case CommandExited:
		return Exited, []Action{EndProbes, ReclaimTerminal, BeginGrace, LimitRest}
	}
	return p, nil
}

func (p Phase) nextRestarting(e Event) (Phase, []Action) {
	switch e {
	case StopWanted:
		return Withdrawing, []Action{BeginGrace, LimitWithdrawal}
	case CommandExited:
		return Restarting, []Action{EndGrace, StartAgain}
	case CommandStarted:
		return Running, nil
	case StartFailed:
		return Exited, []Action{ReclaimTerminal, BeginGrace, LimitRest}
	case GraceOver:
		return Restarting, []Action{KillCommand}
	}
	return p, nil
}

// nextStopping is about a COMMAND that is stopped for good. Once it has got the signal it gets it again only from
// somebody who insists.
func (p Phase) nextStopping(e Event) (Phase, []Action) {
	switch {
	case e == StopWanted:
		return Terminating, []Action{SendStop}
	case p == Withdrawing && (e == Withdrawn || e == WithdrawalLate):
		return Terminating, []Action{SendStop}
	case e == GraceOver:
		return Terminating, []Action{AbandonWithdrawal, KillCommand}
	case e == CommandExited:
		return Exited, []Action{EndProbes, ReclaimTerminal}
	}
	return p, nil
}

func (p Phase) nextExited(e Event) (Phase, []Action) {
	switch e {
	case Withdrawn:
		return Ended, nil
	case GraceOver:
		return Exited, []Action{AbandonWithdrawal}
	}
	return p, nil
}

// IsStopping tells whether a stop has begun or COMMAND has exited: nobody is to be sent to it any more.
func (p Phase) IsStopping() bool { return p >= Withdrawing }
