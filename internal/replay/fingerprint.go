package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"envoy-circuit-breaker/filter/config"
)

// fingerprint tells configurations apart that may have different reports, however they are written.
func fingerprint(c *config.Config) string {
	h := sha256.New()
	add := func(r *config.Rules) {
		fmt.Fprintf(h, "%#v %#v %t %t %t\n", r.Policy, r.FailureOn, r.PerRoute, r.HonorRetryAfter, r.Fallback.Header != "")
	}
	fmt.Fprintln(h, c.MaxBreakers)
	add(&c.Rules)
	for i := range c.Overrides {
		fmt.Fprintf(h, "%q %q ", c.Overrides[i].Match, c.Overrides[i].Route)
		add(&c.Overrides[i].Rules)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
