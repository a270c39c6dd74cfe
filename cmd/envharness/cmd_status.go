package main

import (
	"encoding/json"
	"os"

	"github.com/envharness/envharness/harness"
	"github.com/envharness/envharness/internal/cli"
)

// formatPrometheus is the format of status that print does not have.
const formatPrometheus = "prometheus"

// askCommands are those that talk to a running harness. The list of commands has them in one line.
func askCommands(signals *harness.Signals) []cli.Command {
	return []cli.Command{
		askCommand(signals, harness.RequestStatus, "Tells what the harness knows of itself and of COMMAND, as JSON."),
		askCommand(signals, harness.RequestReady, "Exits 0 when COMMAND is ready and well, 1 when it is not: a Kubernetes exec probe."),
		askCommand(signals, harness.RequestDrain, "Withdraws the service and leaves COMMAND running."),
		askCommand(signals, harness.RequestResume, "Announces the service again after a drain."),
	}
}

func askCommand(signals *harness.Signals, request, about string) cli.Command {
	socket, format := harness.DefaultSocket, "json"
	options := []cli.Option{{Name: "socket", Argument: "PATH", Usage: "reach the harness at PATH", Target: &socket}}
	listed, summary := "-", ""
	if request == harness.RequestStatus {
		listed, summary = "", "ask a running harness; so do ready, drain and resume"
		options = append(options, cli.Option{Name: "format", Argument: "FORMAT", Usage: "print as json, or as prometheus for the node exporter's textfile collector", Target: &format})
	}
	return cli.Command{
		Name:    request,
		Listed:  listed,
		Summary: summary,
		About:   about + " It talks to a harness that runs with --init in this container, and exits 125 when there is none.",
		Example: "docker exec shop envharness " + request,
		Notes:   variables,
		Options: options,
		Run: func(c *cli.Call) error {
			if _, err := harness.ParseFormat(format); err == nil && !c.Said("format") {
				format = "json" // the variable is print's too, and meant for that
			}
			if format != "json" && format != formatPrometheus {
				return c.Misuse("unknown format %q: known are json and prometheus", format)
			}
			if socket == "" {
				return c.Misuse(emptyWord, "socket")
			}
			signals.EndProcess()
			status, err := harness.Ask(socket, request)
			if len(status) > 0 {
				os.Stdout.Write(inFormat(format, status))
			}
			return err
		},
	}
}

// inFormat is a status as it is shown.
func inFormat(format string, status []byte) []byte {
	var s harness.Status
	if format == formatPrometheus && json.Unmarshal(status, &s) == nil {
		return s.Prometheus()
	}
	return append(status, '\n')
}
