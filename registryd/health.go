package registryd

import (
	"context"
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
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	health := h.backend.health(ctx)
	if !health.Ready {
		w.Header().Set(ErrorHeader, headerText(strings.Join(health.Problem, "; ")))
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return writeJSON(w, health)
}
