//go:build fleet

package fleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoytest"
	"envoy-circuit-breaker/internal/process"
)

// program finds what Debian's package prometheus brings.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: apt-get install prometheus", err)
	}
	return path
}

// A prometheus is a running one.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus starts one with this configuration, and waits until it answers.
func startPrometheus(t *testing.T, config string) *prometheus {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	cmd := exec.Command(program(t, "prometheus"), "--config.file", file, "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", address, "--log.level", "warn")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	running, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running.Stop()
		if t.Failed() {
			t.Logf("prometheus's log:\n%s", log.String())
		}
	})
	p := &prometheus{t, "http://" + address}
	envoytest.Eventually(t, time.Minute, func() error {
		select {
		case <-running.Done():
			t.Fatalf("prometheus has ended: %v", running.Err())
		default:
		}
		answer, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", answer.Status)
		}
		return nil
	})
	return p
}

// freeAddress returns one that nobody listens on at this time.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A sample is a series of a result, and its value.
type sample struct {
	labels map[string]string
	value  float64
}

// query evaluates an expression now.
func (p *prometheus) query(expression string) (samples []sample) {
	p.t.Helper()
	answer, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Error != "" {
		p.t.Fatalf("%s: %v %s", expression, err, body.Error)
	}
	for _, r := range body.Data.Result {
		value, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			p.t.Fatal(err)
		}
		samples = append(samples, sample{r.Metric, value})
	}
	return samples
}

// An alert is one that fires.
type alert struct {
	name, severity, namespace, cluster, instance string
}

// firing returns the alerts that fire, by Prometheus's API of alerts.
func (p *prometheus) firing() (alerts []alert) {
	p.t.Helper()
	answer, err := http.Get(p.url + "/api/v1/alerts")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		p.t.Fatal(err)
	}
	for _, a := range body.Data.Alerts {
		if a.State == "firing" {
			alerts = append(alerts, alertOf(a.Labels))
		}
	}
	return alerts
}

// fired returns the alerts that have fired at any time in the last so long.
func (p *prometheus) fired(in time.Duration) (alerts []alert) {
	p.t.Helper()
	for _, s := range p.query(fmt.Sprintf(`max_over_time(ALERTS{alertstate="firing"}[%ds])`, int(in.Seconds()))) {
		alerts = append(alerts, alertOf(s.labels))
	}
	return alerts
}

func alertOf(labels map[string]string) alert {
	return alert{labels["alertname"], labels["severity"], labels["namespace"], labels["cluster"], labels["instance"]}
}
