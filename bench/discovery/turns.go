package main

import "time"

// turns measures two things in turns, so that a machine that slows down slows both.
func turns(rounds int, ours, raw func(*stopwatch) error) (oursTook, rawTook []time.Duration, err error) {
	for i := range rounds {
		pair := []func() error{
			func() error { return timed(ours, &oursTook) },
			func() error { return timed(raw, &rawTook) },
		}
		for k := range pair {
			if err := pair[(i+k)%2](); err != nil {
				return nil, nil, err
			}
		}
	}
	return oursTook, rawTook, nil
}

func timed(f func(*stopwatch) error, took *[]time.Duration) error {
	w := &stopwatch{begin: time.Now()}
	err := f(w)
	w.stop()
	*took = append(*took, w.took)
	return err
}

// stopwatch measures until it is stopped for the first time.
type stopwatch struct {
	begin time.Time
	took  time.Duration
}

func (w *stopwatch) stop() {
	if w.took == 0 {
		w.took = time.Since(w.begin)
	}
}
