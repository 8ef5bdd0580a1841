package testenv

import (
	"context"
)

// parts are the cache entries that a lab is put together from.
type parts struct {
	Base     string `json:"base"`
	WebLayer string `json:"web_layer"`
	Consul   string `json:"consul"`
	Key      string `json:"key"`
	Debian   string `json:"debian"`
	Security string `json:"security,omitempty"`
	// NoSecurity says why there are no security updates to publish.
	NoSecurity string `json:"no_security,omitempty"`
	Lab        string `json:"lab"`
}

// prepare returns the parts, and makes those that are not there.
func prepare(ctx context.Context, c *cache) (parts, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return parts{}, err
	}
	defer unlock()
	if err := raiseLimits(c); err != nil {
		return parts{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var p parts
	// Consul compiles while the rest downloads and unpacks.
	built := make(chan error, 1)
	go func() {
		var err error
		p.Consul, err = makeConsul(ctx, c)
		built <- err
	}()
	if err = prepareHosts(ctx, c, &p); err != nil {
		cancel()
		<-built
		return p, err
	}
	return p, <-built
}

func prepareHosts(ctx context.Context, c *cache, p *parts) (err error) {
	if err := installTools(ctx, c); err != nil {
		return err
	}
	if p.Base, err = makeBase(ctx, c); err != nil {
		return err
	}
	if p.Key, err = makeSigningKey(ctx, c); err != nil {
		return err
	}
	if p.Lab, err = makeLabArchive(ctx, c, p.Key); err != nil {
		return err
	}
	if p.WebLayer, err = makeWebLayer(ctx, c, p.Base, p.Lab); err != nil {
		return err
	}
	if p.Debian, err = makeDebianArchive(ctx, c, p.Key, p.Base); err != nil {
		return err
	}
	if p.Security, err = makeSecurityArchive(ctx, c, p.Key, p.Base); err != nil {
		// A lab is of use without them: who publishes them is told why there are none.
		c.sayf("no security updates: %v", err)
		p.NoSecurity = err.Error()
	}
	return nil
}
