// The same push as `metricsjob run backup --set duration=0s`, by client_golang.
package main

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func main() {
	start := time.Now()
	pusher := push.New(os.Args[1], "db_backup").Grouping("db", "go")
	gauge := func(name, help string, value float64) {
		gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "db_backup_" + name, Help: help})
		gauge.Set(value)
		pusher.Collector(gauge)
	}
	now := float64(time.Now().UnixNano()) / 1e9
	gauge("records_processed", "Records that the last run backed up.", 42)
	gauge("duration_seconds", "How long the last run took.", time.Since(start).Seconds())
	gauge("start_timestamp_seconds", "When the last run started.", now)
	gauge("last_completion_timestamp_seconds", "When the last run ended, well or not.", now)
	gauge("last_success_timestamp_seconds", "When the last run that succeeded ended.", now)
	gauge("success", "Whether the last run succeeded (1) or not (0).", 1)
	gauge("exit_code", "The exit code of the last run.", 0)
	gauge("attempts", "How often the last run tried.", 1)
	gauge("cpu_user_seconds", "CPU time that the last run spent in user mode.", 0)
	gauge("cpu_system_seconds", "CPU time that the last run spent in the kernel.", 0)
	gauge("max_rss_bytes", "The most memory that a process of the last run had resident.", 0)
	if err := pusher.Add(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
