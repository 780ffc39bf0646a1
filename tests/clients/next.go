// When the cron library of Kubernetes finds a schedule due.
//
// A line of stdin is {"schedule", "zone", "after", "count"}, the time in seconds since the Unix epoch; the line of stdout for it has the
// next times, as many as are asked for or as it finds.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron"
)

type question struct {
	Schedule, Zone string
	After          int64
	Count          int
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked question
		check(json.Unmarshal(lines.Bytes(), &asked))
		// As the controller of CronJobs has it.
		schedule, err := cron.ParseStandard(fmt.Sprintf("TZ=%s %s", asked.Zone, asked.Schedule))
		check(err)
		times := []int64{}
		for next := time.Unix(asked.After, 0); len(times) < asked.Count; {
			next = schedule.Next(next)
			if next.IsZero() {
				break
			}
			times = append(times, next.Unix())
		}
		answer, err := json.Marshal(times)
		check(err)
		fmt.Println(string(answer))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
