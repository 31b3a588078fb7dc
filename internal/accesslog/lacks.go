package accesslog

import "slices"

// consequences are what follows where no line of a log tells a field.
var consequences = []struct {
	fields []field // any of them will do
	text   string
}{
	{[]field{fieldDuration}, "No line tells how long its request took (%DURATION%): each is taken to have ended as soon as it began, " +
		"so that neither hangs nor slow calls are seen."},
	{[]field{fieldResponse, fieldService}, "No line tells when the answer's headers came (%RESPONSE_DURATION%, or the header " +
		"x-envoy-upstream-service-time): they are taken to have come at the end, so that a long download is a slow call."},
	{[]field{fieldRequest}, "No line tells when the request had been sent (%REQUEST_DURATION%): it is taken to have been sent at once, " +
		"so that a client which is slow to send it may be taken for a slow call, and a timeout meanwhile for the upstream's."},
	{[]field{fieldDetails}, "No line tells the response code details (%RESPONSE_CODE_DETAILS%): who made an answer is told from the response " +
		"flags, which do not tell connection timeouts from other connection failures, nor other filters' answers from the upstream's, nor " +
		"the breaker's own rejects."},
	{[]field{fieldDetails, fieldFlags}, "No line tells the response flags either (%RESPONSE_FLAGS%): every answer is taken for the upstream's, " +
		"those of Envoy included."},
	{[]field{fieldCluster}, "No line tells the cluster (%UPSTREAM_CLUSTER_RAW%): its place takes the name that was given or else the upstream " +
		"host's address, and requests that found no host have none."},
	{[]field{fieldRoute}, "No line tells the route (%ROUTE_NAME%): breakers per route are one for each cluster."},
	{[]field{fieldGRPC}, "No line tells the gRPC status (%GRPC_STATUS_NUMBER%): gRPC errors in answers of status 200 are taken for successes."},
}

// Lacks names the fields that no line of the log has told, in the order of [FieldNames].
func (s *Source) Lacks() []string {
	lacks := []string{}
	for f, name := range FieldNames {
		if s.seen&(1<<f) == 0 {
			lacks = append(lacks, name)
		}
	}
	return lacks
}

// Consequences says, in sentences, what follows for verdicts where no line of a log tells these fields. A log that lacks even the time
// has no line that was understood, and so no verdicts.
func Consequences(lacks []string) (texts []string) {
	lacking := func(f field) bool { return slices.Contains(lacks, FieldNames[f]) }
	if lacking(fieldTime) {
		return nil
	}
	for _, c := range consequences {
		if !slices.ContainsFunc(c.fields, func(f field) bool { return !lacking(f) }) {
			texts = append(texts, c.text)
		}
	}
	return texts
}
