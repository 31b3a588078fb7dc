package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

// A logFlagSet has the flags that say how logs are read.
type logFlagSet struct {
	format, cluster   string
	fields            list
	instances, strict bool
	parsed            *accesslog.Format
}

func (o *logFlagSet) add(flags *flag.FlagSet) {
	flags.StringVar(&o.format, "format", "auto", "the `FORMAT` of lines: "+strings.Join(accesslog.FormatNames, ", "))
	flags.Var(&o.fields, "field", "which key of JSON has what, as `FIELD=KEY`, such as status=response.code or duration=took,us; give it for each.\nFields are: "+
		strings.Join(accesslog.FieldNames, ", "))
	flags.StringVar(&o.cluster, "cluster", "", "the `NAME` of the cluster of lines that tell none; without it that is the upstream host's address")
	flags.BoolVar(&o.instances, "instance-per-log", false, "each LOG is another Envoy's, which has breakers of its own")
	flags.BoolVar(&o.strict, "strict", false, "stop at the first line that cannot be understood")
}

// parse reads -format and -field. The error tells what is wrong with them.
func (o *logFlagSet) parse() (err error) {
	o.parsed, err = accesslog.ParseFormat(o.format, o.fields)
	return err
}

// read reads logs, as far as their entries are taken, and says which of the first lines could not be understood.
func (o *logFlagSet) read(p *program, logs []string, take func(*accesslog.Entry) error, takeBroken func(*accesslog.Broken)) ([]accesslog.Source, error) {
	broken := 0
	sources, err := accesslog.Read(logs,
		accesslog.Options{Format: o.parsed, Stdin: p.in, Cluster: o.cluster, FileIsInstance: o.instances}, take,
		func(b *accesslog.Broken) error {
			if o.strict {
				return b
			}
			if broken++; broken <= report.MostBroken {
				fmt.Fprintln(p.errors, "breakerctl:", b)
			}
			takeBroken(b)
			return nil
		})
	if broken > report.MostBroken && err == nil {
		fmt.Fprintf(p.errors, "breakerctl: and %d more lines that cannot be understood\n", broken-report.MostBroken)
	}
	return sources, err
}

// wasRead returns an error where no line of logs was of use.
func wasRead(lines, broken int64) error {
	switch lines {
	case 0:
		return errors.New("there are no lines to replay")
	case broken:
		return errors.New("no line could be understood: is it an access log of Envoy's? -format and -field say how it is written")
	}
	return nil
}
