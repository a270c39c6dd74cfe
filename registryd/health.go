package registryd

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// healthz says that the process answers.
func (h *handler) healthz(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// readyz says whether values can be read and written, and how full the data are.
func (h *handler) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), h.times.answer)
	defer cancel()
	health := h.node.Health(ctx)
	status := http.StatusOK
	if !health.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set(ErrorHeader, headerText(strings.Join(health.Problem, "; ")))
	}
	data, err := json.Marshal(health)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(data, '\n'))
	return err
}
