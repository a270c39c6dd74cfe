package harness

// phase is where in its life the harness beside COMMAND is. What it does next depends on that and on what happens,
// and on nothing else: see next.
type phase int

const (
	starting    phase = iota // COMMAND has not been started yet
	running                  // COMMAND runs
	restarting               // COMMAND has been sent the stop signal, and is started again once it has exited
	withdrawing              // a stop has begun: COMMAND gets the signal once the service is withdrawn
	terminating              // COMMAND has been sent the signal of the stop
	exited                   // COMMAND has exited for good, and the service is being withdrawn
	ended                    // nothing is left to do
)

// event is what happens to the harness beside COMMAND.
type event int

const (
	commandStarted event = iota // for the first time or again
	startFailed                 // COMMAND could not be started
	commandExited
	stopWanted     // by a signal, or by a change of values
	restartWanted  // by a change of values
	withdrawn      // nothing is announced and nothing is under way, now and whenever it is looked at
	withdrawalLate // the withdrawal has taken three quarters of the grace
	graceOver
)

// action is what the harness does about an event.
type action int

const (
	endProbes         action = iota // COMMAND is not asked any more whether it is ready and healthy
	clearReady                      // it is not ready any more
	beginGrace                      // from now on it has the grace
	endGrace                        // nothing is to be over in time any more
	limitWithdrawal                 // of which the withdrawal may take three quarters
	sendStop                        // COMMAND gets the signal of the stop
	abandonWithdrawal               // the withdrawal is taken for done
	killCommand                     // COMMAND's group gets KILL
	startAgain                      // COMMAND is started with the current environment
	reclaimTerminal                 // whoever started the harness goes on in front of the terminal
)

// next is the phase that follows p after e, and what is to be done, in this order. An event that a phase does not
// mention changes nothing.
func (p phase) next(e event) (phase, []action) {
	switch p {
	case starting:
		return p.nextStarting(e)
	case running:
		return p.nextRunning(e)
	case restarting:
		return p.nextRestarting(e)
	case withdrawing, terminating:
		return p.nextStopping(e)
	case exited:
		return p.nextExited(e)
	}
	return p, nil
}

func (p phase) nextStarting(e event) (phase, []action) {
	switch e {
	case commandStarted:
		return running, nil
	case startFailed:
		return ended, nil
	}
	return p, nil
}

func (p phase) nextRunning(e event) (phase, []action) {
	switch e {
	case stopWanted:
		return withdrawing, []action{beginGrace, limitWithdrawal}
	case restartWanted:
		return restarting, []action{endProbes, clearReady, sendStop, beginGrace}
	case commandExited:
		return exited, []action{endProbes, reclaimTerminal, beginGrace}
	}
	return p, nil
}

func (p phase) nextRestarting(e event) (phase, []action) {
	switch e {
	case stopWanted:
		return withdrawing, []action{beginGrace, limitWithdrawal}
	case commandExited:
		return restarting, []action{endGrace, startAgain}
	case commandStarted:
		return running, nil
	case startFailed:
		return exited, []action{reclaimTerminal, beginGrace}
	case graceOver:
		return restarting, []action{killCommand}
	}
	return p, nil
}

// nextStopping is about a COMMAND that is stopped for good. Once it has got the signal it gets it again only from
// somebody who insists.
func (p phase) nextStopping(e event) (phase, []action) {
	switch {
	case e == stopWanted:
		return terminating, []action{sendStop}
	case p == withdrawing && (e == withdrawn || e == withdrawalLate):
		return terminating, []action{sendStop}
	case e == graceOver:
		return terminating, []action{abandonWithdrawal, killCommand}
	case e == commandExited:
		return exited, []action{endProbes, reclaimTerminal}
	}
	return p, nil
}

func (p phase) nextExited(e event) (phase, []action) {
	switch e {
	case withdrawn:
		return ended, nil
	case graceOver:
		return exited, []action{abandonWithdrawal}
	}
	return p, nil
}

// isStopping tells whether a stop has begun or COMMAND has exited: nobody is to be sent to it any more.
func (p phase) isStopping() bool { return p >= withdrawing }
