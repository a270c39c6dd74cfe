package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/registryd"
)

// dataDirectory is where data are kept unless --data or systemd's StateDirectory= says otherwise.
const dataDirectory = "/var/lib/envdiscoverd"

// topicDocker is the group of options that --help docker shows.
const topicDocker = "docker"

func allFlags() []urfave.Flag {
	return append(exporterFlags(), []urfave.Flag{
		&urfave.StringFlag{Name: "data", Usage: "`DIR` of the embedded etcd (" + dataDirectory + ")"},
		&urfave.StringFlag{Name: "etcd", Usage: "`URL` of an etcd of yours to stand in front of"},
		&urfave.StringSliceFlag{Name: "listen", Usage: "`ADDRESS` as HOST:PORT or unix:PATH; repeatable (127.0.0.1:7171)"},
		&urfave.BoolFlag{Name: "containers", Usage: "serve this machine's containers too, on its Docker bridges"},
		&urfave.StringSliceFlag{Name: "bridge", Usage: "`NAME` of a Docker bridge that is not docker0 or br-…; repeatable"},
		&urfave.BoolFlag{Name: "auth", Usage: "ask everyone for a user of etcd"},
		&urfave.StringFlag{Name: "cert", Usage: "`FILE` of the certificate, PEM; --listen addresses then speak TLS"},
		&urfave.StringFlag{Name: "key", Usage: "`FILE` of its key, PEM"},
		&urfave.StringFlag{Name: "ca", Usage: "`FILE` of the authority, PEM, whose certificates clients need"},
		&urfave.BoolFlag{Name: "insecure", Usage: "allow addresses off loopback without --auth or TLS"},
		&urfave.StringSliceFlag{Name: "host", Usage: "`NAME` that browsers may know this server by; repeatable"},
		&urfave.StringFlag{Name: "log-level", Usage: "`LEVEL` debug, info, warn or error", Value: "info"},
		&urfave.StringFlag{Name: "log-format", Usage: "`FORMAT` text or json", Value: cli.LogText},
		&urfave.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this"},
		&urfave.BoolFlag{Name: "version", Usage: "show version, commit and Go version"},
	}...)
}

func readOptions(c *urfave.Context, log *slog.Logger) registryd.Options {
	options := registryd.Options{
		Data:       c.String("data"),
		Etcd:       c.String("etcd"),
		Listen:     c.StringSlice("listen"),
		Containers: c.Bool("containers"),
		Bridges:    c.StringSlice("bridge"),
		Auth:       c.Bool("auth"),
		Insecure:   c.Bool("insecure"),
		Cert:       c.String("cert"),
		Key:        c.String("key"),
		CA:         c.String("ca"),
		Hosts:      c.StringSlice("host"),
		Log:        log,
	}
	if options.Data == "" && options.Etcd == "" {
		options.Data = cmp.Or(os.Getenv("STATE_DIRECTORY"), dataDirectory)
	}
	return options
}

// help shows the options of the registry, or those of --docker. Either fits one screen.
func help(w io.Writer, flags []urfave.Flag, topic string) error {
	if topic != "" && topic != topicDocker {
		return &cli.UsageError{Problem: fmt.Sprintf("no help on %q", topic), Usage: "envdiscoverd --help [" + topicDocker + "]"}
	}
	var text strings.Builder
	if topic == "" {
		fmt.Fprintf(&text, "usage: %s\n       the machine's registry: values and services, by etcd v3, HTTP and a page\n\n", usage)
	}
	for _, f := range flags {
		if f.(urfave.CategorizableFlag).GetCategory() == topic {
			writeOption(&text, f)
		}
	}
	if topic == "" {
		text.WriteString("\n--docker announces containers, see --help docker. --data has the variable ENVDISCOVERD_DATA,\n" +
			"every other option its own. Exit: 0, 1 failure, 2 usage.\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeOption writes one line; urfave/cli marks the argument with backquotes.
func writeOption(text *strings.Builder, f urfave.Flag) {
	doc := f.(urfave.DocGenerationFlag)
	before, rest, _ := strings.Cut(doc.GetUsage(), "`")
	argument, after, found := strings.Cut(rest, "`")
	option, words := "--"+f.Names()[0], strings.TrimSpace(after)
	if found {
		option += " " + argument
	} else {
		words = before
	}
	if value := strings.Trim(doc.GetValue(), `[]"`); value != "" && value != "false" {
		words += " (" + value + ")"
	}
	fmt.Fprintf(text, "  %-22s%s\n", option, words)
}
