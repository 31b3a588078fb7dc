//go:build faults || soak

package faults_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentKB is how much memory a process has in use.
func residentKB(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("the system does not tell how large a process is")
	return 0
}
