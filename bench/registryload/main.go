// Command registryload measures a registry that is full and watched: 2,000 values, 10,000 instances and 500
// watchers, by envdiscoverd and by a plain etcd in the same run. It prints a table in Markdown.
//
//	registryload ENVDISCOVERD-ADDRESS ETCD-ADDRESS
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	values    = 2000
	services  = 100
	instances = 10000
	watchers  = 500
	rounds    = 10
	asked     = 100 // times in a round, of each question
	workers   = 16
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "registryload:", err)
		os.Exit(1)
	}
}

func run(addresses []string) error {
	if len(addresses) != 2 {
		return errors.New("usage: registryload ENVDISCOVERD-ADDRESS ETCD-ADDRESS")
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = workers
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients []*clientv3.Client
	for i, address := range addresses {
		client, err := open(ctx, address, i == 0)
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}
	fmt.Printf("## A full registry: %d values, %d instances, %d watchers\n\n| what | beside plain etcd by its client | measured | bound | |\n|---|---|---|---|---|\n", values, instances, watchers)
	for _, question := range questions(ctx, clients[0], clients[1], "http://"+addresses[0]) {
		if err := question.print(); err != nil {
			return fmt.Errorf("%s: %w", question.name, err)
		}
	}
	fmt.Printf("\n- Rounds of %d questions, by envdiscoverd and by plain etcd in turns: each round's p50 and p99 make a ratio.\n", asked)
	return nil
}

// open fills a server, starts those who watch it, and gives its client.
func open(ctx context.Context, address string, http bool) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err == nil {
		err = fill(ctx, client)
	}
	if err == nil {
		err = watch(ctx, client, address, http)
	}
	return client, err
}

// question is asked of envdiscoverd and of a plain etcd.
type question struct {
	name             string
	ours, plain      func(n int) error
	mostP50, mostP99 float64 // what is promised; 0 is nothing
}

func questions(ctx context.Context, ours, plain *clientv3.Client, url string) []question {
	get := func(client *clientv3.Client) func(int) error {
		return func(n int) error {
			_, err := client.Get(ctx, fmt.Sprintf("/envharness/environment/V%d", n%values))
			return err
		}
	}
	put := func(client *clientv3.Client) func(int) error {
		return func(n int) error {
			_, err := client.Put(ctx, fmt.Sprintf("/envharness/environment/V%d", n%values), "new")
			return err
		}
	}
	change := func(client *clientv3.Client) func(int) error {
		return func(n int) error { return putInstance(ctx, client, n%instances, "10.0.0.6") }
	}
	read := func(client *clientv3.Client) func(int) error {
		return func(n int) error {
			_, err := client.Get(ctx, fmt.Sprintf("/envharness/services/s%d/", n%services), clientv3.WithPrefix())
			return err
		}
	}
	return []question{
		{"get a value, etcd v3", get(ours), get(plain), 0, 0},
		{"put a value, etcd v3", put(ours), put(plain), 0, 0},
		{"change an instance that 5 watch, etcd v3", change(ours), change(plain), 0, 1.5},
		{"read 100 instances, etcd v3", read(ours), read(plain), 0, 0},
		{"get a value, HTTP", func(n int) error { return ask("GET", fmt.Sprintf("%s/environment/V%d", url, n%values)) }, get(plain), 1.5, 0},
		{"put a value, HTTP", func(n int) error { return ask("PUT", fmt.Sprintf("%s/environment/V%d", url, n%values)) }, put(plain), 0, 0},
		{"read 100 instances, HTTP", func(n int) error { return ask("GET", fmt.Sprintf("%s/services/s%d", url, n%services)) }, read(plain), 0, 0},
	}
}

// print asks in rounds, both in turns, and prints two rows.
func (q question) print() error {
	var p50, p99 []float64
	var plain [2]float64
	for round := range rounds {
		took := [2][]float64{}
		for turn := range 2 {
			which := (round + turn) % 2
			var err error
			if took[which], err = times([]func(int) error{q.ours, q.plain}[which], round*asked); err != nil {
				return err
			}
		}
		p50 = append(p50, took[0][asked/2]/took[1][asked/2])
		p99 = append(p99, took[0][asked*99/100]/took[1][asked*99/100])
		plain[0], plain[1] = plain[0]+took[1][asked/2]/rounds, plain[1]+took[1][asked*99/100]/rounds
	}
	q.row("p50", p50, plain[0], q.mostP50)
	q.row("p99", p99, plain[1], q.mostP99)
	return nil
}

// row prints the median of the rounds' ratios, with their quartiles.
func (q question) row(which string, ratios []float64, plain, most float64) {
	slices.Sort(ratios)
	median, bound, verdict := ratios[len(ratios)/2], "", ""
	if most > 0 {
		bound, verdict = fmt.Sprintf("≤ %.1f ×", most), "met"
		if median > most {
			verdict = "**missed**"
		}
	}
	fmt.Printf("| %s, %s | about %.1f ms | %.2f × (%.2f–%.2f) | %s | %s |\n", q.name, which, plain, median, ratios[len(ratios)/4], ratios[len(ratios)*3/4], bound, verdict)
}

// fill writes all values and instances.
func fill(ctx context.Context, client *clientv3.Client) error {
	return parallel(values+instances, func(n int) error {
		if n < values {
			_, err := client.Put(ctx, fmt.Sprintf("/envharness/environment/V%d", n), "postgresql://shop:secret@10.0.0.12/shop")
			return err
		}
		return putInstance(ctx, client, n-values, "10.0.0.5")
	})
}

func putInstance(ctx context.Context, client *clientv3.Client, n int, host string) error {
	service := fmt.Sprintf("s%d", n%services)
	_, err := client.Put(ctx, fmt.Sprintf("/envharness/services/%s/i%d", service, n),
		fmt.Sprintf(`{"id":"i%d","service":%q,"host":%q,"ports":{"http":{"number":%d,"protocol":"tcp"}},"state":"passing"}`, n, service, host, 1+n))
	return err
}

// watch starts the watchers, as many of each service, in front of envdiscoverd half of them by HTTP.
func watch(ctx context.Context, client *clientv3.Client, address string, byHTTP bool) error {
	for n := range watchers {
		service := fmt.Sprintf("s%d", n%services)
		if byHTTP && n < watchers/2 {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/watch?service="+service, nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			go func() { _, _ = io.Copy(io.Discard, response.Body) }() // until ctx ends
			continue
		}
		changes := client.Watch(ctx, "/envharness/services/"+service+"/", clientv3.WithPrefix())
		go func() {
			for range changes {
			}
		}()
	}
	return nil
}

func ask(method, url string) error {
	request, err := http.NewRequest(method, url, bytes.NewReader([]byte("new")))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = errors.New(response.Status)
	}
	return err
}

// times asks one question after the other, and gives sorted milliseconds.
func times(ask func(int) error, from int) ([]float64, error) {
	took := make([]float64, asked)
	for n := range asked {
		start := time.Now()
		if err := ask(from + n); err != nil {
			return nil, err
		}
		took[n] = time.Since(start).Seconds() * 1000
	}
	slices.Sort(took)
	return took, nil
}

// parallel does n things by some workers and gives the first error.
func parallel(n int, do func(int) error) error {
	next, failed := make(chan int), make(chan error, workers)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
	close(failed)
	return <-failed
}
