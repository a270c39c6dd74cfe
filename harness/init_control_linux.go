package harness

import (
	"encoding/json"

	"github.com/envharness/envharness/harness/internal/control"
	"github.com/envharness/envharness/internal/text"
)

// request is one question of a client. reply takes one answer and never blocks.
type request struct {
	verb  string
	reply chan control.Answer
}

// listen opens the control socket. Without one the harness goes on: it is a convenience.
func (v *supervisor) listen() {
	socket, err := control.Listen(v.Init.Socket)
	if err != nil {
		v.Log.Warn("no control socket, so status, ready, drain and resume do not work", "path", v.Init.Socket, "problem", text.Reason(err))
		return
	}
	v.socket = socket
	go socket.Serve(v.answer)
}

// answer answers from what is known, or lets the supervisor do what is asked for.
func (v *supervisor) answer(verb string) control.Answer {
	status := v.status()
	switch verb {
	case control.AskStatus:
		text, _ := json.Marshal(status)
		return control.Answer{OK: true, Status: text}
	case control.AskReady:
		return readiness(status)
	case control.AskDrain, control.AskResume:
		if status.Phase == control.Starting || status.Phase == control.Stopping {
			return control.Answer{Problem: "the harness is " + status.Phase}
		}
		q := request{verb: verb, reply: make(chan control.Answer, 1)}
		v.requests <- q
		return <-q.reply
	}
	return control.Answer{Problem: "unknown request"}
}

func readiness(s control.Status) control.Answer {
	switch {
	case s.Phase == control.Starting || s.Phase == control.Stopping:
		return control.Answer{Problem: "the harness is " + s.Phase}
	case s.Phase == control.Drained:
		return control.Answer{Problem: "it is drained"}
	case !s.Ready:
		return control.Answer{Problem: "the command is not ready yet"}
	case !s.Healthy:
		return control.Answer{Problem: "the command is not well"}
	}
	return control.Answer{OK: true}
}

// onRequest changes what is wanted. The answer is given when that has come about, see settle.
func (v *supervisor) onRequest(q request) {
	v.mu.Lock()
	v.drained = q.verb == control.AskDrain
	v.mu.Unlock()
	v.waiting = append(v.waiting, q)
}

// settle answers the requests that have come about, or failed.
func (v *supervisor) settle() {
	announced, settled, err := v.announcer.state()
	still := v.waiting[:0]
	for _, q := range v.waiting {
		drained := q.verb == control.AskDrain
		switch {
		case v.stopping:
			q.reply <- control.Answer{Problem: "the harness is " + control.Stopping}
		case drained != v.drained:
			q.reply <- control.Answer{Problem: "another request took its place"}
		case settled && announced != drained:
			q.reply <- control.Answer{OK: true}
		case settled && !drained:
			q.reply <- control.Answer{Problem: "the command is not ready or not well: the service is announced once it is"}
		case !settled && !drained && err != nil:
			q.reply <- control.Answer{Problem: "the service could not be announced: " + err.Error()}
		default:
			still = append(still, q)
		}
	}
	v.waiting = still
}

func (v *supervisor) removeSocket() {
	if v.socket != nil {
		v.socket.Close()
	}
}
