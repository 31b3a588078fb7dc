package check

import (
	"slices"
	"strings"

	"envoy-circuit-breaker/filter/config"
)

// The keys of what a configuration is put in. Others may come with newer versions, so that only what is near to one of these, and
// what belongs into the configuration, is wrong.
var (
	resourceKeys   = strings.Fields("apiVersion kind metadata spec status")
	wasmPluginKeys = strings.Fields("selector targetRef targetRefs url sha256 imagePullPolicy imagePullSecret verificationKey " +
		"pluginConfig pluginName phase priority failStrategy vmConfig match type")
	extensionKeys    = strings.Fields("selector targetRef targetRefs phase priority match wasm lua")
	policyKeys       = strings.Fields("targetRef targetRefs targetSelectors wasm extProc lua dynamicModule mergeType")
	policyPluginKeys = strings.Fields("name rootID code config failOpen env")
	pluginKeys       = strings.Fields("name root_id vm_config configuration fail_open failure_policy reload_config " +
		"capability_restriction_config allow_on_headers_stop_iteration")
	vmKeys     = strings.Fields("vm_id runtime code configuration allow_precompiled nack_on_code_cache_miss environment_variables")
	anyKeys    = strings.Fields("@type value")
	wasmKeys   = strings.Fields("@type config")
	typedKeys  = strings.Fields("@type type_url value")
	filterKeys = strings.Fields("name typed_config config_discovery is_optional disabled")
)

// An envelope is an object that a configuration is put in.
type envelope struct {
	*node
	keys  []string // that it may have
	under string   // which of them, or within them, has the configuration
}

// lookAtKeys tells which keys are surely meant to be others, and which belong into the configuration. It reports whether there is any.
func (f *File) lookAtKeys(envelopes []envelope) (found bool) {
	for _, e := range envelopes {
		if e.node == nil {
			continue
		}
		for _, field := range e.fields {
			isKnown := func(key string) bool { return field.key == key || field.key == camel(key) }
			if slices.ContainsFunc(e.keys, isKnown) {
				continue
			}
			text := ""
			if e.under != "" && slices.Contains(config.Keys(""), field.key) {
				text = "is a key of the configuration, which is to be under " + e.under
			} else if meant := config.Nearest(field.key, e.keys); meant != "" {
				text = "unknown key: did you mean " + meant + "?"
			}
			if text != "" {
				found = true
				f.add(field.line, false, field.key+": "+text)
			}
		}
	}
	return found
}

// warnOfNone warns where a plugin has no configuration.
func (f *File) warnOfNone(line int) {
	f.add(line, true, "no configuration: the defaults are in force")
}
