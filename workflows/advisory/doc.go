// Package advisory works out what security advisories mean for a host: which of its packages have a hole, in which version that is closed, and
// whether its repositories offer that. Advisories are read as osv.dev writes them. It knows nothing of where they are kept, of clocks or of
// connections: every function is a pure function of its arguments.
package advisory
