package harness

import (
	"encoding/json"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/envharness/envharness/internal/text"
)

// request is one question of a client. reply takes one answer and never blocks.
type request struct {
	verb  string
	reply chan answer
}

// listen opens the control socket. Without one the harness goes on: it is a convenience.
func (v *supervisor) listen() {
	fd, err := listenControl(v.Init.Socket)
	if err != nil {
		v.Log.Warn("no control socket, so status, ready, drain and resume do not work", "path", v.Init.Socket, "problem", text.Reason(err))
		return
	}
	v.socket = v.Init.Socket
	go func() {
		for {
			conversation, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			switch {
			case err == nil:
				go v.converse(conversation)
			case err != unix.EINTR && err != unix.ECONNABORTED:
				return
			}
		}
	}()
}

// listenControl makes the socket, readable and writable by its owner from its birth: bind(2) takes the mode
// of the socket less the umask. A stale one, on which nobody answers, is replaced if it is ours.
func listenControl(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	unix.Fchmod(fd, 0o600)
	address := &unix.SockaddrUnix{Name: path}
	err = unix.Bind(fd, address)
	if err == unix.EADDRINUSE {
		if err = removeStale(path); err == nil {
			err = unix.Bind(fd, address)
		}
	}
	if err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func removeStale(path string) error {
	var info unix.Stat_t
	if err := unix.Lstat(path, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.New("something that is no socket stands in its place")
	}
	if int(info.Uid) != os.Getuid() {
		return errors.New("a socket of another user stands in its place")
	}
	if fd, err := dial(path); err == nil {
		unix.Close(fd)
		return errors.New("another harness listens there")
	} else if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// converse answers one client, who must be root or the harness's own user, whatever the file's mode says.
func (v *supervisor) converse(fd int) {
	conversation := os.NewFile(uintptr(fd), v.socket)
	defer conversation.Close()
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5})
	var a answer
	if uid, err := peerUser(fd); err != nil || uid != 0 && uid != os.Getuid() {
		a.Problem = "only root and the harness's own user are answered"
	} else {
		a = v.answer(readRequest(conversation))
	}
	json.NewEncoder(conversation).Encode(a)
}

// answer answers from what is known, or lets the supervisor do what is asked for.
func (v *supervisor) answer(verb string) answer {
	status := v.status()
	switch verb {
	case RequestStatus:
		text, _ := json.Marshal(status)
		return answer{OK: true, Status: text}
	case RequestReady:
		return readiness(status)
	case RequestDrain, RequestResume:
		if status.Phase == PhaseStarting || status.Phase == PhaseStopping {
			return answer{Problem: "the harness is " + status.Phase}
		}
		q := request{verb: verb, reply: make(chan answer, 1)}
		v.requests <- q
		return <-q.reply
	}
	return answer{Problem: "unknown request"}
}

func readiness(s Status) answer {
	switch {
	case s.Phase == PhaseStarting || s.Phase == PhaseStopping:
		return answer{Problem: "the harness is " + s.Phase}
	case s.Phase == PhaseDrained:
		return answer{Problem: "it is drained"}
	case !s.Ready:
		return answer{Problem: "the command is not ready yet"}
	case !s.Healthy:
		return answer{Problem: "the command is not well"}
	}
	return answer{OK: true}
}

// onRequest changes what is wanted. The answer is given when that has come about, see settle.
func (v *supervisor) onRequest(q request) {
	v.mu.Lock()
	v.drained = q.verb == RequestDrain
	v.mu.Unlock()
	v.waiting = append(v.waiting, q)
}

// settle answers the requests that have come about, or failed.
func (v *supervisor) settle() {
	announced, settled, err := v.announcer.state()
	still := v.waiting[:0]
	for _, q := range v.waiting {
		drained := q.verb == RequestDrain
		switch {
		case v.stopping:
			q.reply <- answer{Problem: "the harness is " + PhaseStopping}
		case drained != v.drained:
			q.reply <- answer{Problem: "another request took its place"}
		case settled && announced != drained:
			q.reply <- answer{OK: true}
		case settled && !drained:
			q.reply <- answer{Problem: "the command is not ready or not well: the service is announced once it is"}
		case !settled && !drained && err != nil:
			q.reply <- answer{Problem: "the service could not be announced: " + err.Error()}
		default:
			still = append(still, q)
		}
	}
	v.waiting = still
}

func (v *supervisor) removeSocket() {
	if v.socket != "" {
		os.Remove(v.socket)
	}
}
