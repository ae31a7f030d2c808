//go:build !js

package main

import (
	"fmt"
	"slices"
	"time"
)

const row = "  %-22s %10s %10s %10s %10s   %-20s %-20s\n"

const legend = `
CPU is that of the Worker's process. Ratios are the median of the rounds, with the
least and the most: how many times the CPU of the first side another one takes,
and how many times the rate of another side the first one has. Above 1 the first
side is the better one.`

// report prints each side's medians and ratios to the first side. A ratio is taken
// within one round, whose sides met the same machine.
func report(j job, rounds map[string][]sample) {
	fmt.Printf("\n%s\n", j.title)
	fmt.Printf(row, "", "CPU/req", "req/s", "p50", "p99", "CPU ratio", "rate ratio")
	mine := rounds[j.sides[0]]
	for _, name := range j.sides {
		of := rounds[name]
		var cpu, rate []float64
		for i := range of {
			cpu = append(cpu, float64(of[i].cpu)/float64(mine[i].cpu))
			rate = append(rate, mine[i].perSecond/of[i].perSecond)
		}
		fmt.Printf(row, name,
			short3(median(of, func(s sample) float64 { return float64(s.cpu) })),
			fmt.Sprintf("%.0f", median(of, func(s sample) float64 { return s.perSecond })),
			short3(median(of, func(s sample) float64 { return float64(s.p50) })),
			short3(median(of, func(s sample) float64 { return float64(s.p99) })),
			spread(cpu), spread(rate))
	}
}

func short3(nanoseconds float64) string {
	d := time.Duration(nanoseconds)
	if d < 10*time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

// spread writes the median with the least and the most.
func spread(values []float64) string {
	slices.Sort(values)
	return fmt.Sprintf("%.2f (%.2f-%.2f)", values[len(values)/2], values[0], values[len(values)-1])
}

func median(samples []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
