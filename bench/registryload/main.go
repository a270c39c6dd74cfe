// Command registryload measures a registry that is full and watched: 2,000 values, 10,000 instances and 500
// watchers, by envdiscoverd and by a plain etcd in the same run. It prints a table in Markdown.
//
//	registryload ENVDISCOVERD-ADDRESS [ETCD-ADDRESS]
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
	asked     = 1000 // times, of each question
	workers   = 16
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "registryload:", err)
		os.Exit(1)
	}
}

func run(addresses []string) error {
	if len(addresses) == 0 || len(addresses) > 2 {
		return errors.New("usage: registryload ENVDISCOVERD-ADDRESS [ETCD-ADDRESS]")
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = workers
	var columns [][]row
	for i, address := range addresses {
		rows, err := measure(address, i == 0)
		if err != nil {
			return err
		}
		columns = append(columns, rows)
	}
	fmt.Printf("## A full registry: %d values, %d instances, %d watchers\n\n| milliseconds, p50 / p99 | envdiscoverd | plain etcd |\n|---|---|---|\n", values, instances, watchers)
	for i, row := range columns[0] {
		plain := ""
		if len(columns) > 1 && i < len(columns[1]) {
			plain = columns[1][i].figures
		}
		fmt.Printf("| %s | %s | %s |\n", row.name, row.figures, plain)
	}
	return nil
}

type row struct{ name, figures string }

// measure fills a server and asks it; with http also by that.
func measure(address string, http bool) ([]row, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := fill(ctx, client); err != nil {
		return nil, err
	}
	if err := watch(ctx, client, address, http); err != nil {
		return nil, err
	}
	url := "http://" + address
	questions := []struct {
		name string
		ask  func(n int) error
		http bool
	}{
		{"get a value, etcd v3", func(n int) error {
			_, err := client.Get(ctx, fmt.Sprintf("/envharness/environment/V%d", n%values))
			return err
		}, false},
		{"put a value, etcd v3", func(n int) error {
			_, err := client.Put(ctx, fmt.Sprintf("/envharness/environment/V%d", n%values), "new")
			return err
		}, false},
		{"change an instance that 5 watch, etcd v3", func(n int) error { return putInstance(ctx, client, n%instances, "10.0.0.6") }, false},
		{"read 100 instances, etcd v3", func(n int) error {
			_, err := client.Get(ctx, fmt.Sprintf("/envharness/services/s%d/", n%services), clientv3.WithPrefix())
			return err
		}, false},
		{"get a value, HTTP", func(n int) error { return ask("GET", fmt.Sprintf("%s/environment/V%d", url, n%values)) }, true},
		{"put a value, HTTP", func(n int) error { return ask("PUT", fmt.Sprintf("%s/environment/V%d", url, n%values)) }, true},
		{"read 100 instances, HTTP", func(n int) error { return ask("GET", fmt.Sprintf("%s/services/s%d", url, n%services)) }, true},
	}
	var rows []row
	for _, question := range questions {
		if question.http && !http {
			continue
		}
		figures, err := spread(question.ask)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", question.name, err)
		}
		rows = append(rows, row{question.name, figures})
	}
	return rows, nil
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

// spread asks one question after the other and gives p50 and p99.
func spread(ask func(int) error) (string, error) {
	took := make([]float64, asked)
	for n := range asked {
		start := time.Now()
		if err := ask(n); err != nil {
			return "", err
		}
		took[n] = time.Since(start).Seconds() * 1000
	}
	slices.Sort(took)
	return fmt.Sprintf("%.2f / %.2f", took[asked/2], took[asked*99/100]), nil
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
