package window

// Limits lets tests make the bounds small, so that random histories meet them.
type Limits = limitSet

// SetLimits changes the bounds and returns a function that puts them back.
func SetLimits(l Limits) (restore func()) {
	old := limits
	limits = l
	return func() { limits = old }
}

// DefaultLimits are those of the product.
func DefaultLimits() Limits { return limits }

// Chunks is the number of sealed chunks.
func (c *Customer) Chunks() int { return len(c.blocks) }
