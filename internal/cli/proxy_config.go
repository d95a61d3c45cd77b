package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/kube/container"
	"github.com/smi-project/smi/internal/proxyview"
)

const proxyConfigLong = `Print what the Envoy of a pod has: its identity and when that ends, who may send
to which port by which TrafficTarget, what it may reach, and what it refuses.
This is what is in force in the pod, where smi explain and smi compile say what
should be.

--raw prints all of Envoy's configuration as JSON, --kind a part of it. Private
keys are in neither.

Exit codes: 0 done; 1 the proxy refuses something; 2 the arguments make no
sense, or the pod cannot be asked.`

func proxyConfig(app *App) *cobra.Command {
	var (
		f    proxyFlags
		raw  bool
		kind string
	)
	format := formatTable
	cmd := &cobra.Command{
		Use:   "config POD",
		Short: "Print what a sidecar has: who may call, and what it reaches",
		Long:  proxyConfigLong,
		Example: `  smi proxy config web-5d4f -n shop

  # As Envoy says it
  smi proxy config web-5d4f -n shop --kind routes
  smi proxy config web-5d4f -n shop --raw`,
		Args: onePod(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.sidecarOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if raw || kind != "" {
				return app.printRawProxy(cmd.Context(), c, kind, format)
			}
			return app.printProxy(cmd.Context(), c, format)
		},
	}
	f.register(cmd)
	addFormatFlag(cmd, &format)
	cmd.Flags().BoolVar(&raw, "raw", false, "print Envoy's configuration")
	addChoiceFlag(cmd, choice{&kind, proxyview.Kinds()}, false, [2]string{"kind", ""}, "print this kind of Envoy's configuration")
	cmd.MarkFlagsMutuallyExclusive("raw", "kind")
	return cmd
}

// printRawProxy prints what Envoy says, as JSON unless YAML is asked for.
func (a *App) printRawProxy(ctx context.Context, c *container.Container, kind string, f format) error {
	config, err := ask(ctx, c, "admin", proxyview.PathConfig)
	if err != nil {
		return err
	}
	part, err := proxyview.Select(config, kind)
	if err != nil {
		return err
	}
	return a.printObject(f, part)
}

func (a *App) printProxy(ctx context.Context, c *container.Container, f format) error {
	config, err := ask(ctx, c, "admin", proxyview.PathConfig)
	if err != nil {
		return err
	}
	certificates, err := ask(ctx, c, "admin", proxyview.PathCertificates)
	if err != nil {
		return err
	}
	view, err := proxyview.Parse(config, certificates)
	if err != nil {
		return err
	}
	if f != formatTable {
		err = a.printObject(f, view)
	} else {
		_, err = fmt.Fprint(a.Out, a.proxyText(c.Namespace+"/"+c.Pod, view, time.Now()))
	}
	if err == nil && len(view.Refused) > 0 {
		err = ErrNo
	}
	return err
}

// proxyText is a view for people.
func (a *App) proxyText(pod string, v *proxyview.View, now time.Time) string {
	var b strings.Builder
	b.WriteString(a.paint(bold, printable("Pod "+pod)) + "\n")
	facts := table{}
	if v.Identity == "" {
		facts = append(facts, row{{text: "identity"}, {text: "none yet: smi proxy logs says why", colour: red}})
	} else {
		facts = append(facts, row{{text: "identity"}, {text: v.Identity}}, row{{text: "ends"}, {text: ended(v.Expires, now)}})
	}
	if !v.Updated.IsZero() {
		facts = append(facts, row{{text: "updated"}, {text: v.Updated.UTC().Format(time.RFC3339) + ", " + age(now.Sub(v.Updated)) + " ago"}})
	}
	b.WriteString(facts.render(a, "  "))
	b.WriteString("\nWho may send to it\n" + a.inboundTable(v.Inbound))
	b.WriteString("\nWhat it may reach\n" + a.reachTable(v.Reaches))
	if len(v.Refused) > 0 {
		b.WriteString("\n" + a.paint(red, "What it refuses, and has an older version of") + "\n")
		for _, r := range v.Refused {
			fmt.Fprintf(&b, "  %s: %s\n", printable(r.Resource), printable(r.Reason))
		}
	}
	return b.String()
}

func ended(at, now time.Time) string {
	if left := at.Sub(now); left > 0 {
		return at.UTC().Format(time.RFC3339) + ", in " + age(left)
	}
	return at.UTC().Format(time.RFC3339) + ", " + age(now.Sub(at)) + " ago"
}

// age is a duration for people.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int(d.Hours()/24), "day")
	case d >= time.Hour:
		return d.Truncate(time.Minute).String()[:strings.Index(d.Truncate(time.Minute).String(), "m")+1]
	default:
		return d.Truncate(time.Second).String()
	}
}

func (a *App) inboundTable(all []proxyview.Inbound) string {
	if len(all) == 0 {
		return "  nobody\n"
	}
	t := table{{{text: "PORT"}, {text: "FROM"}, {text: "BY"}}}
	for _, in := range all {
		port := strconv.Itoa(in.Port)
		if in.Port == 0 {
			port = "other"
		}
		from := cell{text: in.Caller}
		if in.Caller == proxyview.Anybody {
			from.colour = yellow
		}
		t = append(t, row{{text: port}, from, {text: strings.Join(in.Grants, ", ")}})
	}
	return t.render(a, "  ")
}

func (a *App) reachTable(all []proxyview.Reach) string {
	if len(all) == 0 {
		return "  nothing\n"
	}
	t := table{{{text: "TO"}, {text: "PROTOCOL"}, {text: "BY SPLIT"}, {text: "DESTINATIONS (ENDPOINTS)"}}}
	for _, r := range all {
		var to []string
		for _, d := range r.Destinations {
			text := fmt.Sprintf("%s (%d)", d.Service, d.Endpoints)
			if d.Weight > 0 {
				text = fmt.Sprintf("%d %s", d.Weight, text)
			}
			to = append(to, text)
		}
		t = append(t, row{{text: r.To}, {text: dash(r.Protocol)}, {text: dash(strings.Join(r.Splits, ", "))}, {text: dash(strings.Join(to, ", "))}})
	}
	return t.render(a, "  ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
