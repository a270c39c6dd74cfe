package main

import (
	"context"
	"strings"
	"time"

	"github.com/envharness/envharness/discovery"
	"github.com/envharness/envharness/exporters/service"
	"github.com/envharness/envharness/internal/cli"
	"github.com/envharness/envharness/internal/failure"
)

// registerWait is how long the registry may be away when a service is announced.
const registerWait = 20 * time.Second

// registering is the options of register.
type registering struct {
	instance                      discovery.Instance // what can be taken as it is given
	ports, privatePorts, metadata []string
	passwordFile                  string
	interfaces                    []string

	ttl        time.Duration
	sync       bool
	checked    string // what --check says
	check      service.Check
	wait       time.Duration
	eventually bool
	background bool
	pid        *int
}

func (p *program) registerCommand() cli.Command {
	r := &registering{
		check: service.Check{Interval: service.DefaultInterval, Timeout: service.DefaultTimeout, Rise: service.DefaultRise, Fall: service.DefaultFall},
		wait:  registerWait,
	}
	return cli.Command{
		Name:      "register",
		Arguments: "SERVICE",
		Least:     1,
		Most:      1,
		Summary:   "announce a service, hold, withdraw at TERM or the parent's end",
		Example:   "envdiscover register web --port 8080 --check http://127.0.0.1:8080/",
		Options:   r.options(),
		Run:       p.runs(func(ctx context.Context, c *call) error { return c.register(ctx, r) }),
	}
}

func (r *registering) options() []cli.Option {
	in, check := &r.instance, &r.check
	return []cli.Option{
		{Name: "port", Argument: "NAME=NUMBER", Topic: topicService, Usage: "serve at NUMBER, or NUMBER/udp, under NAME; repeatable", Target: &r.ports},
		{Name: "private-port", Argument: "NAME=NUMBER", Topic: topicService, Usage: "serve at it on the private host; repeatable", Target: &r.privatePorts},
		{Name: "id", Argument: "ID", Topic: topicService, Usage: "call the instance ID", Target: &in.ID, Default: "SERVICE-HOSTNAME-PORT"},
		{Name: "ttl", Argument: "D", Topic: topicService, Usage: "let it be gone D after a death", Target: &r.ttl, Default: "10s, or the layout's own"},
		{Name: "tag", Argument: "NAME", Topic: topicService, Usage: "let others choose it by NAME; repeatable", Target: &in.Tags},
		{Name: "metadata", Argument: "KEY=VALUE", Topic: topicService, Usage: "tell a fact; repeatable", Target: &r.metadata},
		{Name: "shard", Argument: "NAME", Topic: topicService, Usage: "say that it has the shard NAME of the data", Target: &in.Shard},
		{Name: "user", Argument: "NAME", Topic: topicService, Usage: "let users of the service log in as NAME", Target: &in.User},
		{Name: "password-file", Argument: "FILE", Topic: topicService, Usage: "let them use the password in FILE", Target: &r.passwordFile},
		{Name: "sync-credentials", Topic: topicService, Usage: "share both with the service's other instances", Target: &r.sync},
		{Name: "critical", Topic: topicService, Usage: "mark it as critical", Target: &in.Critical},
		{Name: "public", Topic: topicService, Usage: "mark it as public", Target: &in.Public},

		{Name: "host", Argument: "HOST", Topic: topicAddress, Usage: "let others reach it at HOST, a name or IP", Target: &in.Host, Default: "CONTAINER_HOST, else by the default route"},
		{Name: "private-host", Argument: "HOST", Topic: topicAddress, Usage: "let others reach it at HOST privately", Target: &in.PrivateHost},
		{Name: "interface", Argument: "RULE,…", Topic: topicAddress, Usage: "take the first address of eth0, eth0:inet6, eth0[1], a CIDR, static:IP", Target: &r.interfaces},

		{Name: "check", Argument: "TARGET", Topic: topicCheck, Usage: "see how it is by http://…, tcp://HOST:PORT or exec:PATH", Target: &r.checked},
		{Name: "interval", Argument: "D", Topic: topicCheck, Usage: "check every D", Target: &check.Interval},
		{Name: "timeout", Argument: "D", Topic: topicCheck, Usage: "end a check after D", Target: &check.Timeout},
		{Name: "rise", Argument: "N", Topic: topicCheck, Usage: "let N good ones in a row make it passing", Target: &check.Rise},
		{Name: "fall", Argument: "N", Topic: topicCheck, Usage: "let N bad ones in a row make it failing", Target: &check.Fall},

		{Name: "wait", Argument: "D", Topic: topicHold, Usage: "wait up to D for a registry that is away", Target: &r.wait},
		{Name: "eventually", Topic: topicHold, Usage: "say READY=1 at once, register when it can be done", Target: &r.eventually},
		{Name: "background", Topic: topicHold, Usage: "return once it is registered, go on in the background", Target: &r.background},
		{Name: "pid", Argument: "N", Topic: topicHold, Usage: "deregister when process N ends, not the parent", Target: &r.pid},
	}
}

func (c *call) register(ctx context.Context, r *registering) error {
	announcement, err := c.announcement(r)
	if err != nil {
		return err
	}
	if r.background && !c.inBackground() {
		return c.goToBackground(r.pid)
	}
	ctx, registry, end, err := c.openHeld(ctx, r.pid)
	if err != nil {
		return err
	}
	defer end()
	return announcement.Hold(ctx, registry)
}

// announcement is what the options say of the service.
func (c *call) announcement(r *registering) (service.Announcement, error) {
	find, err := c.complete(r)
	if err != nil {
		return service.Announcement{}, err
	}
	check, err := c.checkOf(r)
	if err != nil {
		return service.Announcement{}, err
	}
	return service.Announcement{
		Instance:        r.instance,
		TTL:             r.ttl,
		SyncCredentials: r.sync,
		Host:            find,
		Check:           check,
		Wait:            r.wait,
		Eventually:      r.eventually,
		Ready:           c.ready,
		Log:             c.Log,
	}, nil
}

// ready tells who waits for the announcement.
func (c *call) ready() {
	if c.inBackground() {
		c.tellForeground()
		return
	}
	if err := c.notify("READY=1"); err != nil {
		c.Log.Warn("cannot say READY=1", "error", err)
	}
}

// checkOf is what --check asks for; nil without.
func (c *call) checkOf(r *registering) (*service.Check, error) {
	check := r.check
	switch {
	case check.Rise < 1 || check.Fall < 1:
		return nil, c.Misuse("--rise and --fall cannot be less than 1")
	case check.Interval == 0 || check.Timeout == 0:
		return nil, c.Misuse("--interval and --timeout cannot be 0")
	case r.checked == "":
		return nil, nil
	}
	var err error
	if check.Probe, err = service.ParseProbe(r.checked); err != nil {
		return nil, err
	}
	if path, is := strings.CutPrefix(r.checked, "exec:"); is {
		if err := lookUpHelper(path); err != nil {
			c.Log.Warn("the check cannot be run, and the service is failing until it can", "error", err, "hint", failure.Hint(err))
		}
	}
	return &check, nil
}
