package main

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/discovery/engines"
	"github.com/envharness/envharness/exporters/service"
)

// registerWait is how long the registry may be away when a service is announced.
const registerWait = 20 * time.Second

func registerCommand() command {
	return command{
		name:      "register",
		arguments: "SERVICE",
		least:     1,
		most:      1,
		summary:   "announce a service, hold, withdraw at TERM or the parent's end",
		flags:     registerFlags,
		run:       register,
	}
}

func registerFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "port", Category: topicService, Usage: "`NAME=NUMBER[/udp]` or NUMBER; repeatable"},
		&urfave.StringSliceFlag{Name: "private-port", Category: topicService, Usage: "`NAME=NUMBER[/udp]` on the private host"},
		&urfave.StringFlag{Name: "id", Category: topicService, Usage: "`ID` of the instance; SERVICE-HOSTNAME-PORT"},
		&urfave.DurationFlag{Name: "ttl", Category: topicService, Usage: "it is gone `D` after a death (10s, or the layout's own)"},
		&urfave.StringSliceFlag{Name: "tag", Category: topicService, Usage: "a `NAME` to choose it by; repeatable"},
		&urfave.StringSliceFlag{Name: "metadata", Category: topicService, Usage: "a fact, `KEY=VALUE`; repeatable"},
		&urfave.StringFlag{Name: "shard", Category: topicService, Usage: "`NAME` of its part of the service's data"},
		&urfave.StringFlag{Name: "user", Category: topicService, Usage: "`NAME` that users of the service log in with"},
		&urfave.StringFlag{Name: "password-file", Category: topicService, Usage: "`FILE` with their password"},
		&urfave.BoolFlag{Name: "sync-credentials", Category: topicService, Usage: "share both with the service's other instances"},
		&urfave.BoolFlag{Name: "critical", Category: topicService, Usage: "mark it as critical"},
		&urfave.BoolFlag{Name: "public", Category: topicService, Usage: "mark it as public"},

		&urfave.StringFlag{Name: "host", Category: topicAddress, Usage: "`HOST` or IP; CONTAINER_HOST, else by the default route"},
		&urfave.StringFlag{Name: "private-host", Category: topicAddress, Usage: "`HOST` on the private network"},
		&urfave.StringSliceFlag{Name: "interface", Category: topicAddress, Usage: "`RULE,…` eth0, eth0:inet6, eth0[1], a CIDR, static:IP"},

		&urfave.StringFlag{Name: "check", Category: topicCheck, Usage: "`http://…|tcp://…|exec:PATH` tells how it is"},
		&urfave.DurationFlag{Name: "interval", Category: topicCheck, Usage: "`D` from one check to the next", Value: service.DefaultInterval},
		&urfave.DurationFlag{Name: "timeout", Category: topicCheck, Usage: "`D` for one check", Value: service.DefaultTimeout},
		&urfave.IntFlag{Name: "rise", Category: topicCheck, Usage: "`N` good ones in a row make it passing", Value: service.DefaultRise},
		&urfave.IntFlag{Name: "fall", Category: topicCheck, Usage: "`N` bad ones in a row make it failing", Value: service.DefaultFall},

		&urfave.DurationFlag{Name: "wait", Category: topicHold, Usage: "`D` for a registry that is away", Value: registerWait},
		&urfave.BoolFlag{Name: "eventually", Category: topicHold, Usage: "say READY=1 at once, announce when it can be done"},
		&urfave.BoolFlag{Name: "background", Category: topicHold, Usage: "return once it is announced; go on in the background"},
		&urfave.IntFlag{Name: "pid", Category: topicHold, Usage: "withdraw when process `N` ends, not the parent"},
	}
}

func register(ctx context.Context, c *call) error {
	announcement, err := c.announcement()
	if err != nil {
		return err
	}
	if c.Bool("background") && !c.inBackground() {
		return c.goToBackground()
	}
	ctx, registry, end, err := c.openHeld(ctx)
	if err != nil {
		return err
	}
	defer end()
	return announcement.Hold(ctx, registry)
}

// announcement is what the options say of the service.
func (c *call) announcement() (service.Announcement, error) {
	in, err := c.instance()
	if err != nil {
		return service.Announcement{}, err
	}
	var find func() (string, error)
	if in.Host, find, err = c.host(); err != nil {
		return service.Announcement{}, err
	}
	check, err := c.check()
	if err != nil {
		return service.Announcement{}, err
	}
	return service.Announcement{
		Instance:        in,
		TTL:             c.Duration("ttl"),
		SyncCredentials: c.Bool("sync-credentials"),
		Host:            find,
		Check:           check,
		Wait:            c.Duration("wait"),
		Eventually:      c.Bool("eventually"),
		Ready:           c.ready,
		Log:             c.log,
	}, nil
}

// ready tells who waits for the announcement.
func (c *call) ready() {
	if c.inBackground() {
		c.tellForeground()
		return
	}
	if err := c.notify("READY=1"); err != nil {
		c.log.Warn("cannot say READY=1", "error", err)
	}
}

func (c *call) instance() (discovery.Instance, error) {
	ports, number, err := c.ports("port")
	if err != nil {
		return discovery.Instance{}, err
	}
	privatePorts, privateNumber, err := c.ports("private-port")
	if err != nil {
		return discovery.Instance{}, err
	}
	metadata, err := c.metadata()
	if err != nil {
		return discovery.Instance{}, err
	}
	password, err := c.password()
	if err != nil {
		return discovery.Instance{}, err
	}
	name := c.Args().First()
	id := c.String("id")
	if id == "" && !c.layoutNames() {
		hostname, err := os.Hostname()
		if err != nil {
			return discovery.Instance{}, err
		}
		id = service.ID(name, hostname, cmp.Or(number, privateNumber))
	}
	return discovery.Instance{
		ID:           id,
		Service:      name,
		PrivateHost:  c.String("private-host"),
		Ports:        ports,
		PrivatePorts: privatePorts,
		User:         c.String("user"),
		Password:     password,
		Tags:         c.StringSlice("tag"),
		Metadata:     metadata,
		Shard:        c.String("shard"),
		Critical:     c.Bool("critical"),
		Public:       c.Bool("public"),
	}, nil
}

// layoutNames reports whether the registry's layout has names of its own for instances, by which its other clients
// know this one.
func (c *call) layoutNames() bool {
	_, config, err := engines.All.Find(c.String("url"))
	return err == nil && config.Layout != "" && config.Layout != "native"
}

// ports reads NAME=NUMBER[/PROTOCOL], where a port without a NAME is the default one. It gives the first number
// too.
func (c *call) ports(option string) (map[string]discovery.Port, int, error) {
	ports, first := map[string]discovery.Port{}, 0
	for _, text := range c.StringSlice(option) {
		name, rest, named := strings.Cut(text, "=")
		if !named {
			name, rest = discovery.DefaultPort, text
		}
		digits, protocol, _ := strings.Cut(rest, "/")
		number, err := strconv.Atoi(digits)
		if err != nil || number < 1 || number > 65535 {
			return nil, 0, c.misuse("--%s %q: %q is no number between 1 and 65535", option, text, digits)
		}
		if _, taken := ports[name]; taken || name == "" {
			return nil, 0, c.misuse("--%s %q: each port needs a name of its own", option, text)
		}
		if protocol != "" && protocol != "tcp" && protocol != "udp" {
			return nil, 0, c.misuse("--%s %q: the protocol is tcp or udp", option, text)
		}
		ports[name] = discovery.Port{Number: number, Protocol: protocol}
		first = cmp.Or(first, number)
	}
	return ports, first, nil
}

func (c *call) metadata() (map[string]string, error) {
	metadata := map[string]string{}
	for _, text := range c.StringSlice("metadata") {
		key, value, found := strings.Cut(text, "=")
		if !found || key == "" {
			return nil, c.misuse("--metadata takes KEY=VALUE")
		}
		metadata[key] = value
	}
	return metadata, nil
}

// password reads its file, without the newline at the end.
func (c *call) password() (discovery.Secret, error) {
	path := c.String("password-file")
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", c.misuse("--password-file: %v", err)
	}
	return discovery.Secret(strings.TrimRight(string(text), "\r\n")), nil
}

// host finds the address: --host, else by --interface, else the container's own. find looks again; nil for --host.
func (c *call) host() (host string, find func() (string, error), err error) {
	rules := strings.FieldsFunc(strings.Join(c.StringSlice("interface"), ","), func(r rune) bool { return r == ',' || r == ' ' })
	if host := c.String("host"); host != "" {
		if len(rules) > 0 {
			return "", nil, c.misuse("--host and --interface exclude each other")
		}
		return host, nil, nil
	}
	if len(rules) > 0 {
		find = func() (string, error) { return service.InterfaceHost(rules) }
	} else {
		find = service.DefaultHost(c.getenv)
	}
	if host, err = find(); err != nil {
		return "", nil, &failure{err: err, hint: "give the address by --host ADDRESS, or how to find it by --interface"}
	}
	return host, find, nil
}

func (c *call) check() (*service.Check, error) {
	target := c.String("check")
	if target == "" {
		return nil, nil
	}
	probe, err := service.ParseProbe(target)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"rise", "fall"} {
		if c.Int(name) < 1 {
			return nil, c.misuse("--%s cannot be less than 1", name)
		}
	}
	for _, name := range []string{"interval", "timeout"} {
		if c.Duration(name) == 0 {
			return nil, c.misuse("--%s cannot be 0", name)
		}
	}
	return &service.Check{
		Probe:    probe,
		Interval: c.Duration("interval"),
		Timeout:  c.Duration("timeout"),
		Rise:     c.Int("rise"),
		Fall:     c.Int("fall"),
	}, nil
}
