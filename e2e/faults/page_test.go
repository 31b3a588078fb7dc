//go:build faults || soak

package faults_test

import (
	"encoding/json"
	"fmt"
	"net/http"

	"envoy-circuit-breaker/internal/envoytest"
)

// A status is what a page of the status page says.
type status struct {
	Total    int
	Clusters []struct {
		Cluster string
		State   string
		Trials  int `json:"trials_in_flight"`
	}
}

// readStatus reads the first page of the listener "status".
func readStatus(e *envoytest.Envoy) (s status, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+e.Address("status")+"/status", nil)
	if err != nil {
		return s, err
	}
	request.Header.Set("accept", "application/json")
	a := envoytest.Do(request)
	if a.Status != http.StatusOK {
		return s, fmt.Errorf("the status page: %+v", a)
	}
	return s, json.Unmarshal([]byte(a.Body), &s)
}
