// Pushes to, adds to or deletes a group: push push|add|delete GATEWAY GROUPING-VALUE
package main

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func main() {
	what := os.Args[1]
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "go_seen_total", Help: "Seen."})
	counter.Add(3)
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "go_records", Help: "Records."}, []string{"table"})
	gauge.WithLabelValues("a \"b\"\n").Set(-1.5)
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "go_size_bytes", Help: "Sizes.", Buckets: []float64{1, 10},
	})
	histogram.Observe(4)
	summary := prometheus.NewSummary(prometheus.SummaryOpts{
		Name: "go_took_seconds", Help: "Times.", Objectives: map[float64]float64{0.5: 0.05},
	})
	summary.Observe(2)
	pusher := push.New(os.Args[2], "go/job").Grouping("db", os.Args[3])
	var err error
	switch what {
	case "push":
		err = pusher.Collector(counter).Collector(gauge).Collector(histogram).Collector(summary).Push()
	case "add":
		added := prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_added", Help: "Added."})
		err = pusher.Collector(added).Add()
	case "delete":
		err = pusher.Delete()
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
