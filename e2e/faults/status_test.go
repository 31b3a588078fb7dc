//go:build faults

package faults_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"envoy-circuit-breaker/internal/envoytest"
)

// statusOf asks the status page of all breakers how many trials are in flight.
func statusOf(t testing.TB, e *envoytest.Envoy) map[string]int {
	t.Helper()
	trials := map[string]int{}
	for query := ""; ; {
		request, err := http.NewRequest(http.MethodGet, e.URL("/circuit-breakers"+query), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("accept", "application/json")
		var page struct {
			Clusters []struct {
				Cluster string
				Trials  int `json:"trials_in_flight"`
			}
			Next *string
		}
		if a := envoytest.Do(request); json.Unmarshal([]byte(a.Body), &page) != nil {
			t.Fatalf("the status page answers %+v", a)
		}
		for _, c := range page.Clusters {
			trials[c.Cluster] = c.Trials
		}
		if page.Next == nil {
			return trials
		}
		query = *page.Next
	}
}
