"""Cost: CPU time as money, at a price per core and hour.

The default price is that of a general-purpose cloud core rented by the hour (about 0.04 to 0.05
USD per virtual core and hour on the large clouds in 2025); give your own where you know it.
"""

from diptych.core.errors import ConfigError

PRICE_USD_PER_CORE_HOUR = 0.04
SECONDS_PER_HOUR = 3600.0
MILLION = 1e6


def usd(cpu_seconds: float, price_usd_per_core_hour: float = PRICE_USD_PER_CORE_HOUR) -> float:
    """Price CPU time.

    Args:
        cpu_seconds: Seconds of one busy core, not negative.
        price_usd_per_core_hour: What one core costs for an hour, in USD, not negative.

    Returns:
        US dollars.

    Raises:
        ConfigError: If either number is negative or not a number.
    """
    if not (cpu_seconds >= 0 and price_usd_per_core_hour >= 0):
        raise ConfigError(
            f"no cost of {cpu_seconds} CPU seconds at {price_usd_per_core_hour} USD per core-hour",
            "neither may be negative",
        )
    return cpu_seconds * price_usd_per_core_hour / SECONDS_PER_HOUR


def usd_per_million(
    cpu_seconds_per_prediction: float, price_usd_per_core_hour: float = PRICE_USD_PER_CORE_HOUR
) -> float:
    """Price a million predictions.

    Args:
        cpu_seconds_per_prediction: Seconds of one busy core for one prediction, not negative.
        price_usd_per_core_hour: What one core costs for an hour, in USD, not negative.

    Returns:
        US dollars for a million predictions, if the cores are busy with nothing else.
    """
    return MILLION * usd(cpu_seconds_per_prediction, price_usd_per_core_hour)
